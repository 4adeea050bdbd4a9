"""Hides the password of EDGEPROF_ARCHIVE_URL, and whatever may be a part of it, in messages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote, quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from edgeprof.shared.errors import UsageError

_HINT: Final = (
    "e.g. postgresql+psycopg://user@host/edgeprof (with psycopg installed); in a password write"
    " @ as %40, : as %3A, / as %2F, # as %23"
)
_HOST: Final = re.compile(r"[A-Za-z0-9._:-]*", re.ASCII)
_DRIVER: Final = re.compile(r"[a-z]+(\+[a-z0-9_]+)?", re.ASCII)
#: Shorter secrets are not hidden: they occur in every message.
_SHORTEST_SECRET: Final = 3


def masked(url: str) -> str:
    """Return the URL for messages. Raises UsageError, without the text, when it is no URL."""
    place = _read(url)
    if place.drivername.partition("+")[0] == "sqlite":
        return f"{place.drivername}:///{place.database or ''}"
    login = ""
    if place.username is not None:  # without a password, this may be the password
        login = f"{place.username}:***@" if place.password else "***@"
    port = "" if place.port is None else f":{place.port}"
    more = "?***" if place.query else ""
    return f"{place.drivername}://{login}{place.host or ''}{port}/{place.database or ''}{more}"


def secrets(url: str) -> list[str]:
    """Return the strings to hide in messages of a database's driver, longest first."""
    place = _read(url)
    found = {word for word in _secrets(place) if len(word) >= _SHORTEST_SECRET}
    spelled = (
        found | {quote(word, safe="") for word in found} | {quote_plus(word) for word in found}
    )
    return sorted(spelled, key=len, reverse=True)


def without(text: str, hidden: list[str]) -> str:
    """Return a message of a database's driver with these strings hidden."""
    for word in hidden:
        text = text.replace(word, "***")
    return text


def _secrets(place: URL) -> Iterator[str]:
    if place.password:
        yield str(place.password)
    elif place.username:
        yield place.username
    for name, values in place.query.items():
        yield from [values] if isinstance(values, str) else values
        if not re.fullmatch(r"[a-z_]+", name):
            yield name


def _read(url: str) -> URL:
    wrong = UsageError("EDGEPROF_ARCHIVE_URL is no URL of a database", hint=_HINT)
    try:
        place = make_url(url)
    except (ArgumentError, ValueError):  # their messages may hold a part of the password
        raise wrong from None
    sqlite = place.drivername.partition("+")[0] == "sqlite"
    if sqlite and (place.username or place.password or place.host):
        raise UsageError(
            "EDGEPROF_ARCHIVE_URL has a host or a login, which SQLite does not",
            hint="sqlite:////folder/results.db",
        )
    # A password with / or @ is split wrongly: a part of it would be shown as the host.
    torn = not _HOST.fullmatch(place.host or "") or (not sqlite and "@" in (place.database or ""))
    if torn or not _DRIVER.fullmatch(place.drivername) or re.search(r"[\r\n]", url):
        raise wrong
    return place
