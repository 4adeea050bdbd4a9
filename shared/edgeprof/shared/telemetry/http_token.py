"""Checks the secret that a request shows, in constant time. It is in no log, answer or repr.

Programs send it as a bearer token. A browser cannot: it asks its user, and sends what was typed as
the password of HTTP Basic, with any user name. So the secret is in no URL, history or cookie.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeprof.shared.telemetry.http_answer import Answer, plain


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, and the setting that it comes from.

    value: None lets everybody on this machine in, and nobody else. for_people: a browser may show
    it as a password.
    """

    setting: str
    value: str | None = field(repr=False)
    for_people: bool = False

    @property
    def challenge(self) -> str:
        """WWW-Authenticate of a refusal."""
        return 'Basic realm="edgeprof", charset="UTF-8"' if self.for_people else "Bearer"

    def refusal(self, environ: Mapping[str, Any], *, open_to_others: bool) -> Answer | None:
        """Return why the sender is a stranger, or None."""
        if self.value is None:
            if not open_to_others:
                return None
            how = "give it as the password" if self.for_people else "have it sent as a bearer token"
            return plain(
                "403 Forbidden",
                f"this page can be reached from other machines: set {self.setting} here, and {how}",
            )
        shown = self._shown(str(environ.get("HTTP_AUTHORIZATION", "")))
        if shown is not None and hmac.compare_digest(shown, self.value.encode()):
            return None
        how = ", as the password with any user name, or as a bearer token" * self.for_people
        return plain("401 Unauthorized", f"the token of {self.setting} is asked for{how}")

    def _shown(self, authorization: str) -> bytes | None:
        scheme, _, value = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return value.strip().encode()
        if scheme.lower() == "basic" and self.for_people:
            try:
                return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
            except ValueError:
                return None
        return None
