"""Settings of notifications. Only the scheduler reads them: no worker is given a secret."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Self

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from edgeprof.shared.errors import UsageError
from edgeprof.shared.settings import Names, load

_KEY: Final = r"whsec_[A-Za-z0-9+/]{32,128}={0,2}"
_SERVER: Final = r"smtps?://[!-~]+"
_LONGEST_FILE: Final = 4096


class NotifySettings(BaseSettings):
    """How notifications leave the scheduler."""

    model_config = SettingsConfigDict(
        env_prefix="EDGEPROF_", env_ignore_empty=True, frozen=True, extra="ignore"
    )

    notify_secret: str | None = Field(
        None,
        repr=False,
        pattern=rf"^({_KEY}|/[ -~]+)$",
        description="Key that the scheduler signs webhooks with (Standard Webhooks): whsec_ and"
        " what `openssl rand -base64 32` prints, or the path of a file that holds this. Unset:"
        " webhooks are not signed.",
    )
    notify_allow: Names = Field(
        "",
        description="Hosts, separated by commas, that webhooks may reach although they are the"
        " scheduler's own machine or link-local; written as in the URL, e.g. localhost,127.0.0.1.",
    )
    smtp_url: str | None = Field(
        None,
        repr=False,
        pattern=rf"^({_SERVER}|/[ -~]+)$",
        description="Mail server for notifications: smtp://host:587 (with STARTTLS where it is"
        " offered) or smtps://host, with user:password@ where it wants a login; or the path of a"
        " file that holds this. Read by the scheduler. Unset: no mail.",
    )
    smtp_from: str | None = Field(
        None,
        pattern=r"^[!-?A-~]+@[!-?A-~]+$",
        max_length=254,
        description="Mail address that notifications come from."
        " Unset: edgeprof at the machine's full name.",
    )

    @classmethod
    def read(cls) -> Self:
        """Read the environment, and the files that it names. Raises UsageError."""
        named = load(cls)
        return named.model_copy(
            update={
                "notify_secret": _content("notify_secret", named.notify_secret, _KEY),
                "smtp_url": _content("smtp_url", named.smtp_url, _SERVER),
            }
        )

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The hosts of `notify_allow`."""
        return frozenset(name.strip().lower() for name in self.notify_allow.split(",") if name)


def _content(name: str, value: str | None, form: str) -> str | None:
    """Return a value, or what is in the file that it names; no error message repeats that."""
    if value is None or not value.startswith("/"):
        return value
    variable = f"EDGEPROF_{name.upper()}"
    try:
        with Path(value).open(encoding="ascii") as file:
            text = file.read(_LONGEST_FILE).strip()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not ASCII"
        raise UsageError(f"{variable}: {value} cannot be read: {why}") from None
    if not re.fullmatch(form, text):
        raise UsageError(f"{variable}: {value} does not hold what this variable takes")
    return text
