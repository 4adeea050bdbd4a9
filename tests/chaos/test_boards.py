"""The short form of the campaign on boards."""

from __future__ import annotations

import pytest

from edgeprof.client import Lab
from edgeprof.shared.types.job import JobState
from tests.chaos.board_lab import board_lab
from tests.chaos.pulls import pull_boards
from tests.chaos.sick_boards import diagnose

pytestmark = pytest.mark.e2e


def test_pulled_board() -> None:
    """A pulled board is offline within 2 s, busy or idle; plugged in again, its job is done
    once."""
    busy, idle = pull_boards(1, boards=1)

    assert busy.kept, busy
    assert busy.offline_s < 2
    assert idle.offline_s < 2


@pytest.mark.parametrize(
    "sicknesses", [("reboots", "answers wrongly", "runs out of memory"), ("hangs", "babbles")]
)
def test_sick_board_is_diagnosed(sicknesses: tuple[str, ...]) -> None:
    """The job's record names the class and code of what its board did."""
    found = diagnose(sicknesses)

    assert [d for d in found if not d.kept] == []


def test_cancel_on_a_board_that_hangs() -> None:
    """A job is cancelled on a board that hears neither CANCEL nor RESET; the board is opened
    afresh, and its next job works."""
    with board_lab(["native://?uid=5cff&fault=1:12"]) as settings, Lab(settings=settings) as lab:
        hung = lab.submit("shakespeare-240k", board="native-5cff", n_gen=16, warmup=0)
        next(e for e in hung.events(timeout=60) if e.fields.get("tokens") == "12")
        hung.cancel()

        assert hung.wait(timeout=60).state is JobState.CANCELLED
        after = lab.submit("shakespeare-240k", board="native-5cff", n_gen=4)
        assert after.wait(timeout=60).state is JobState.SUCCEEDED
        assert len(after.view().attempts) == 1
