"""A script is stopped by a change that is beyond its limit and is no noise, and by nothing else."""

from __future__ import annotations

import pytest

from edgeprof.client.comparison import compare
from edgeprof.client.gate import Gates
from edgeprof.shared.errors import UsageError
from tests.support.measured import STEADY, measured, times


@pytest.mark.parametrize(
    ("condition", "factor", "fails"),
    [
        ("decode<-3%", 0.95, True),
        ("decode<-3%", 0.98, False),
        ("decode < -3 %", 0.95, True),
        ("decode>+3%", 1.05, True),
        ("decode<0%", 0.995, False),  # no interval leaves 0 out
        ("prefill<-3%", 0.95, True),
        ("ttft>1%", 0.95, False),  # it is the same in both
    ],
)
def test_limit_and_certainty(condition: str, factor: float, fails: bool) -> None:
    """The change is that of the means; its interval has to leave out 0."""
    found = compare([measured("a", STEADY)], [measured("b", times(factor))])
    gates = Gates.parse([condition])

    gates.check(found)

    assert gates.fail(found) == fails


def test_an_exact_change_needs_no_interval() -> None:
    """A fifth of a percent breaks a limit of nothing at all."""
    old, new = (
        measured(job, [speed], platform="stm32f405", timer="TIM2")
        for job, speed in (("a", 100.0), ("b", 99.8))
    )
    assert Gates.parse(["decode<0%"]).fail(compare([old], [new]))


def test_a_row_that_is_gone_fails_only_where_asked() -> None:
    """A kernel that crashes has no speed at all."""
    old = [measured("a", STEADY), measured("b", STEADY, platform="native")]
    found = compare(old, [measured("c", STEADY)])

    assert not Gates.parse(["decode<-3%"]).fail(found)
    assert Gates.parse(["decode<-3%", "missing"]).fail(found)


def test_a_limit_on_what_nobody_measured_is_an_error() -> None:
    """It would pass for ever."""
    found = compare([measured("a", STEADY)], [measured("b", STEADY)])

    with pytest.raises(UsageError, match="no row has both an old and a new energy"):
        Gates.parse(["energy>5%"]).check(found)


@pytest.mark.parametrize(
    ("condition", "says", "hint"),
    [
        ("decod<-3%", "no measure 'decod'", "did you mean decode?"),
        ("decode<-3", "is no condition", "e.g. --fail-if 'decode<-3%'"),
        ("decode", "is no condition", "missing"),
        ("", "is no condition", "measures: prefill, decode"),
    ],
)
def test_a_condition_with_a_typo_is_told(condition: str, says: str, hint: str) -> None:
    """The line has the condition, the hint the way to write one."""
    with pytest.raises(UsageError, match=says) as caught:
        Gates.parse([condition])
    assert hint in (caught.value.hint or "")
