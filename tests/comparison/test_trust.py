"""Numbers that cannot be trusted say so."""

from __future__ import annotations

import pytest

from edgeprof.client.trust import Doubt, doubts
from tests.support.measured import STEADY, measured


@pytest.mark.parametrize(
    ("speeds", "found"),
    [
        (STEADY, set()),
        ((100.0, 80.0, 110.0, 95.0), {Doubt.UNSTABLE}),
        ((100.0, 99.0, 98.0, 97.0, 96.0, 95.0), {Doubt.THERMAL_DRIFT}),
        ((96.0, 97.0, 98.0, 99.0, 100.0, 101.0), set()),
        ((100.0, 98.0, 96.0), set()),
        ((100.0, 99.9, 99.8, 99.7, 99.6), set()),
    ],
)
def test_speeds_are_doubted_by_their_course(speeds: tuple[float, ...], found: set[Doubt]) -> None:
    """Spread over 5 %; a steady fall of more than 2 % over five runs or more. A rise is none."""
    assert {each.doubt for each in doubts(measured("a", speeds))} == found


@pytest.mark.parametrize(
    ("device_s", "host_s", "says"),
    [
        ([2.0, 2.0], [2.1, 2.1], ""),
        ([2.2, 2.0], [2.1, 2.1], "4.8% more time than passed"),
        ([2.0, 1.9], [2.1, 2.1], "4.8% between runs"),
        ([0.2, 0.1], [0.3, 0.3], ""),
    ],
)
def test_the_boards_clock_is_held_to_the_hosts(
    device_s: list[float], host_s: list[float], says: str
) -> None:
    """The host's time has the link's delay in it, so short runs prove nothing."""
    found = doubts(measured("a", STEADY, device_s=device_s, host_s=host_s))

    assert [each.doubt for each in found] == ([Doubt.CLOCK_DRIFT] if says else [])
    assert says in "".join(map(str, found))


def test_counted_instructions_are_never_doubted() -> None:
    """Their time is computed; and a native board has no clock and no temperature of its own."""
    wild = (100.0, 80.0, 60.0, 40.0, 20.0, 10.0)
    assert doubts(measured("a", wild, platform="stm32f405", timer="TIM2")) == []
    native = doubts(
        measured(
            "a", wild, platform="native", timer="CLOCK_MONOTONIC", device_s=[3.0], host_s=[2.0]
        )
    )
    assert {each.doubt for each in native} == {Doubt.UNSTABLE}
