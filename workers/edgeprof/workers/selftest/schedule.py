"""When a board is tested: at first sight, from time to time after that, and soon again while it is sick."""

from __future__ import annotations

import time

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.managed_board import Verdict


class SelfTestSchedule:
    """Of one board, for as long as its worker lives: a worker that starts anew does not know the silicon."""

    def __init__(self, settings: Settings) -> None:
        self._retest_interval_s = settings.selftest_quarantine_interval_s
        self._routine_interval_s = settings.selftest_routine_interval_s
        self._retest_at_s = 0.0
        self._routine_at_s = 0.0

    def due(self, *, quarantined: bool) -> bool:
        """Whether to test now. Who is newly quarantined, by whomever, is tested at once."""
        now_s = time.monotonic()
        return now_s >= self._retest_at_s and (quarantined or now_s >= self._routine_at_s)

    def note(self, verdict: Verdict, *, quarantined: bool) -> None:
        """Take a test's outcome into account; `quarantined` is what the board was before it."""
        if verdict is Verdict.NOT_TESTED:
            return
        now_s = time.monotonic()
        if verdict is Verdict.PASSED:
            self._routine_at_s = now_s + self._routine_interval_s
        if quarantined or verdict is Verdict.FAILED:
            self._retest_at_s = now_s + self._retest_interval_s
