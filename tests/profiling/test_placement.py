"""Where a run of the board is put on the host's clock: where it was, or nowhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.workers.board.protocols import ClockOffset, RunReport
from edgeprof.workers.profiling.placement import (
    DRIFT_LIMIT,
    DRIFT_LIMIT_EMULATED,
    NotPlacedError,
    place,
)

#: Host monotonic time of the first look.
BEGAN_S = 5000.0


class World:
    """A board whose clock runs at `rate` of the host's, from `zero_s`, over a line of `trip_s`."""

    def __init__(self, rate: float = 1.0, zero_s: float = 4000.0, trip_s: float = 0.002) -> None:
        self.rate, self.zero_s, self.trip_s = rate, zero_s, trip_s

    def device_s(self, host_s: float) -> float:
        return (host_s - self.zero_s) * self.rate

    def look(self, host_s: float, share: float = 0.5) -> ClockOffset:
        """The board answered at that time, `share` of the round trip after it was asked."""
        asked_s = host_s - share * self.trip_s
        at_s = asked_s + self.trip_s / 2
        return ClockOffset(at_s - self.device_s(host_s), self.trip_s / 2, at_s)

    def run(self, start_s: float, prefill_s: float, end_s: float) -> RunReport:
        us = [round(self.device_s(at_s) * 1e6) for at_s in (start_s, start_s + prefill_s, end_s)]
        return RunReport(
            tokens=(1, 2), prefill_us=us[1] - us[0], step_us=(us[2] - us[1],), idle_us=0,
            start_us=us[0], end_us=us[2], host_sent_s=start_s - self.trip_s,
            host_first_token_s=None, host_done_s=end_s + self.trip_s,
        )  # fmt: skip


@given(
    share=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    trip_s=st.floats(1e-5, 0.02),
    length_s=st.floats(0.001, 4000),
    rate=st.one_of(st.floats(1 - DRIFT_LIMIT / 2, 1 + DRIFT_LIMIT / 2), st.floats(0.05, 20)),
)
def test_run_is_placed_within_its_error(
    share: tuple[float, float], trip_s: float, length_s: float, rate: float
) -> None:
    """A run is placed within its stated error, for any round trip, length and rate of the clock."""
    world = World(rate, trip_s=trip_s)
    start_s, end_s = BEGAN_S + trip_s, BEGAN_S + trip_s + length_s
    run = world.run(start_s, length_s / 3, end_s)
    looks = world.look(BEGAN_S, share[0]), world.look(end_s + 2 * trip_s, share[1])

    placed = place(run, *looks, DRIFT_LIMIT_EMULATED)

    within_s = placed.error_s + 3e-6 / min(rate, 1)
    for got_s, true_s in (
        (placed.start_s, start_s),
        (placed.prefill_end_s, start_s + length_s / 3),
        (placed.end_s, end_s),
    ):
        assert got_s == pytest.approx(true_s, abs=within_s)
    assert run.host_sent_s <= placed.start_s <= placed.end_s <= run.host_done_s
    assert placed.error_s <= run.host_done_s - run.host_sent_s


def test_a_good_clock_keeps_the_boards_duration() -> None:
    """Two looks that agree give one offset: the length is what the board measured."""
    world = World()
    run = world.run(BEGAN_S + 1, 0.25, BEGAN_S + 2)

    placed = place(run, world.look(BEGAN_S, 0.4), world.look(BEGAN_S + 3, 0.6), DRIFT_LIMIT)

    assert placed.end_s - placed.start_s == pytest.approx(1, abs=1e-9)
    assert placed.prefill_end_s - placed.start_s == pytest.approx(0.25, abs=1e-9)
    assert placed.error_s <= world.trip_s


def test_a_drift_over_an_hour_is_followed() -> None:
    """50 ppm are 180 ms an hour: the end of a long run is not put there by an offset of its
    start."""
    world = World(rate=1 - 50e-6)
    run = world.run(BEGAN_S + 1, 1, BEGAN_S + 3601)

    placed = place(run, world.look(BEGAN_S), world.look(BEGAN_S + 3602), DRIFT_LIMIT)

    assert placed.start_s == pytest.approx(BEGAN_S + 1, abs=1e-4)
    assert placed.end_s == pytest.approx(BEGAN_S + 3601, abs=1e-4)
    assert placed.error_s >= 0.18  # it need not have drifted evenly


def shifted(look: ClockOffset, by_s: float) -> ClockOffset:
    return ClockOffset(look.offset_s - by_s, look.error_s, look.at_s)


@pytest.mark.parametrize(
    ("before_s", "after_s"),
    [(0, -4294.967296), (0, 30), (-2000, 0), (2000, 0)],
    ids=["wrapped after the run", "set while it ran", "restarted before it", "went back before it"],
)
def test_a_clock_that_jumped_places_nothing(before_s: float, after_s: float) -> None:
    """A jump of a silicon board's clock is not taken for a drift."""
    world = World()
    run = world.run(BEGAN_S + 1, 0.2, BEGAN_S + 2)
    looks = shifted(world.look(BEGAN_S), before_s), shifted(world.look(BEGAN_S + 3), after_s)

    with pytest.raises(NotPlacedError, match="clock"):
        place(run, *looks, DRIFT_LIMIT)


@pytest.mark.parametrize("limit", [DRIFT_LIMIT, DRIFT_LIMIT_EMULATED])
@pytest.mark.parametrize("off_s", [-1627.0, -18.0, 18.0])
def test_what_contradicts_the_host_is_refused(limit: float, off_s: float) -> None:
    """A run that began before it was sent, or ended after it was read: both looks were of another
    clock."""
    world = World()
    run = world.run(BEGAN_S + 100, 0.2, BEGAN_S + 101)
    looks = (
        shifted(world.look(BEGAN_S), off_s),
        shifted(world.look(BEGAN_S + 200), off_s),
    )

    with pytest.raises(NotPlacedError):
        place(run, *looks, limit)
