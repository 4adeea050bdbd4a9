"""The short form of the campaign on boards."""

from __future__ import annotations

import pytest

from tests.chaos.pulls import pull_boards
from tests.chaos.sick_boards import diagnose

pytestmark = pytest.mark.e2e


def test_pulled_board():
    """Offline within 2 s, busy or idle; plugged in again, the job is done, once."""
    busy, idle = pull_boards(1, boards=1)

    assert busy.kept, busy
    assert busy.offline_s < 2
    assert idle.offline_s < 2


@pytest.mark.parametrize(
    "sicknesses", [("reboots", "answers wrongly", "runs out of memory"), ("hangs", "babbles")]
)
def test_sick_board_is_diagnosed(sicknesses):
    """The job's record names the class and code of what its board did."""
    found = diagnose(sicknesses)

    assert [d for d in found if not d.kept] == []
