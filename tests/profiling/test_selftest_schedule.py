"""When a board is tested, by a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.health import Verdict
from edgeprof.workers.selftest.schedule import SelfTestSchedule

ROUTINE_S, RETEST_S = 1000.0, 10.0


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """`now[0]` is the time."""
    at = [5.0]
    clock = SimpleNamespace(monotonic=lambda: at[0])
    monkeypatch.setattr("edgeprof.workers.selftest.schedule.time", clock)
    return at


@pytest.fixture
def schedule(now: list[float]) -> SelfTestSchedule:
    return SelfTestSchedule(
        Settings(selftest_routine_interval_s=ROUTINE_S, selftest_quarantine_interval_s=RETEST_S)
    )


def test_new_board_is_due(schedule: SelfTestSchedule) -> None:
    """A new board is due for its self-test at first sight, whatever the lab holds of it."""
    assert schedule.due(quarantined=False)
    assert schedule.due(quarantined=True)


def test_board_that_passed_is_left_alone(schedule: SelfTestSchedule, now: list[float]) -> None:
    """A board that passed is not tested again until the interval ends, unless it is quarantined."""
    schedule.note(Verdict.PASSED, quarantined=False)

    assert not schedule.due(quarantined=False)
    assert schedule.due(quarantined=True)
    now[0] += ROUTINE_S
    assert schedule.due(quarantined=False)


@pytest.mark.parametrize("quarantined", [False, True])
def test_board_that_failed_gets_a_pause(
    schedule: SelfTestSchedule, now: list[float], quarantined: bool
) -> None:
    """A board that failed waits for its retest, also when its quarantine could not be written or it
    was drained before."""
    schedule.note(Verdict.FAILED, quarantined=quarantined)

    assert not schedule.due(quarantined=True)
    assert not schedule.due(quarantined=False)
    now[0] += RETEST_S
    assert schedule.due(quarantined=True)
    assert schedule.due(quarantined=False)


def test_board_that_comes_and_goes_is_not_tested_without_end(schedule: SelfTestSchedule) -> None:
    """One that passed in quarantine waits for its next chance as one that failed does."""
    schedule.note(Verdict.PASSED, quarantined=True)

    assert not schedule.due(quarantined=True)


def test_board_that_was_busy_stays_due(schedule: SelfTestSchedule) -> None:
    """The next beat tries again."""
    schedule.note(Verdict.NOT_TESTED, quarantined=False)

    assert schedule.due(quarantined=False)
