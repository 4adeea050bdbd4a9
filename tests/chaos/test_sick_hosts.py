"""The short form of the campaign on sick hosts."""

from __future__ import annotations

import pytest

from tests.chaos.sick_hosts import fall_sick, possible

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("sickness", possible())
def test_no_job_fails_for_a_sick_host(sickness: str) -> None:
    """One host of three falls sick: its jobs run elsewhere, its board's own wait until it is
    cured."""
    outcome = fall_sick(sickness, jobs=9)

    assert outcome.kept, outcome
