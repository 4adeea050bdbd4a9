"""When a board is tested: before its first job, routinely after that, and sooner while it fails."""

from __future__ import annotations

import time

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.health import Verdict


class SelfTestSchedule:
    """The schedule of one board. It ends with the board's worker: a new one tests at its start."""

    def __init__(self, settings: Settings) -> None:
        self._retest_interval_s = settings.selftest_quarantine_interval_s
        self._routine_interval_s = settings.selftest_routine_interval_s
        self._retest_at_s = 0.0
        self._routine_at_s = 0.0

    def due(self, *, quarantined: bool) -> bool:
        """Whether to test now. Newly quarantined boards are tested at once."""
        now_s = time.monotonic()
        return now_s >= self._retest_at_s and (quarantined or now_s >= self._routine_at_s)

    def note(self, verdict: Verdict, *, quarantined: bool) -> None:
        """Take a test's verdict into account; `quarantined` is what the board was before it."""
        if verdict is Verdict.NOT_TESTED:
            return
        now_s = time.monotonic()
        if verdict is Verdict.PASSED:
            self._routine_at_s = now_s + self._routine_interval_s
        if quarantined or verdict is Verdict.FAILED:
            self._retest_at_s = now_s + self._retest_interval_s
