"""Checks an HTTP POST: the sender's token, the content type and the size."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from edgeprof.shared.telemetry.http_answer import Answer, plain
from edgeprof.shared.telemetry.http_token import Token

#: Far more than Alertmanager posts. A larger body is refused.
_LARGEST_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Post:
    """A page that takes JSON by POST, and nothing else.

    token: the bearer token to send. None: everybody on this machine may post, and nobody else.
    setting: the variable of the token, for messages.
    """

    take: Callable[[bytes], Answer]
    setting: str
    token: str | None = field(repr=False)

    def answer(self, environ: Mapping[str, Any], *, open_to_others: bool) -> Answer:
        """Return the page's answer to a posted body, or why the body was refused."""
        token = Token(self.setting, self.token)
        refused = token.refusal(environ, open_to_others=open_to_others) or _unfit(environ)
        if refused is not None:
            return refused
        wanted = int(environ["CONTENT_LENGTH"])
        body: bytes = environ["wsgi.input"].read(wanted)
        if len(body) < wanted:
            return plain("400 Bad Request", f"{len(body)} of {wanted} bytes came")
        return self.take(body)


def _unfit(environ: Mapping[str, Any]) -> Answer | None:
    """Return why the body is not read, or None."""
    kind = str(environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind != "application/json":
        # A form of another site cannot send this type.
        return plain("415 Unsupported Media Type", "send application/json")
    length = str(environ.get("CONTENT_LENGTH", ""))
    if "HTTP_TRANSFER_ENCODING" in environ or not length:
        return plain("411 Length Required", "send Content-Length, and the body whole")
    if not re.fullmatch("[0-9]{1,18}", length):
        return plain("400 Bad Request", "Content-Length is no number")
    if int(length) > _LARGEST_BYTES:
        return plain("413 Content Too Large", f"send {_LARGEST_BYTES} bytes at most")
    return None
