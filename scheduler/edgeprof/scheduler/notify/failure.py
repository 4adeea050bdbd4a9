"""Why a notification did not arrive."""

from __future__ import annotations

from edgeprof.shared.sanitize import one_line


class NotSent(Exception):  # noqa: N818 - names a state, as errors.py's do
    """Raised when an attempt to send failed; its text has no address and no password.

    `final`: another attempt would end the same. `unreachable`: so would an attempt to send another
    message to the same host now.
    """

    def __init__(self, reason: str, *, final: bool = False, unreachable: bool = False) -> None:
        super().__init__(one_line(reason, 200))
        self.final = final
        self.unreachable = unreachable
