"""Stops an upload that cannot end in time any more; the error names the time that it needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edgeprof.shared.errors import JobError

#: How long a link is watched before it is judged: its first bytes tell nothing.
_LOOK_AFTER_S: Final = 5.0
#: Speed goes up and down, so an upload that is just too slow is left to the timeout itself.
_MARGIN: Final = 1.25


class UploadDeadline:
    """The deadline of one attempt's upload; its clock starts with this object."""

    def __init__(self, timeout_s: float, now_s: Callable[[], float] = time.monotonic) -> None:
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._began_s = now_s()
        self._first: tuple[float, int] | None = None

    def moved(self, done: int, total: int) -> None:
        """Note how far the upload is. Raises JobError "timeout" when it cannot end in time."""
        now_s = self._now_s()
        if self._first is None:
            self._first = now_s, done  # the board may hold the beginning already
            return
        since_s, already = self._first
        spent_s = now_s - since_s
        if done <= already or done >= total or spent_s < min(_LOOK_AFTER_S, self._timeout_s / 10):
            return
        speed = (done - already) / spent_s
        needed_s = now_s - self._began_s + (total - done) / speed
        if needed_s > _MARGIN * self._timeout_s:
            raise JobError(
                f"the model cannot be sent in time: {total} bytes at {speed / 1000:.1f} kB/s take"
                f" {needed_s:.0f} s, and the job's timeout is {self._timeout_s:g} s",
                code="timeout",
                hint=f"submit it with --timeout {2 * round(needed_s + 0.5)}, or a smaller type",
            )
