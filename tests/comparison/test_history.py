"""Where a series changed for good: every step of an exact one, only sure ones of a noisy one."""

from __future__ import annotations

import random

import pytest

from edgeprof.client.change_points import change_points
from edgeprof.client.course import courses
from edgeprof.client.measures import MEASURES
from tests.support.measured import measured


def noisy(*levels: tuple[float, int], seed: int = 1) -> list[float]:
    scatter = random.Random(seed)
    return [scatter.gauss(level, 0.01 * level) for level, count in levels for _ in range(count)]


def test_a_step_is_found_where_it_is() -> None:
    """5 % down after twenty jobs, and up again after twenty more, under 1 % of noise."""
    assert change_points(noisy((100, 20), (95, 20), (100, 20)), exact=False) == [20, 40]


def test_noise_alone_hardly_ever_shows_a_change() -> None:
    """Of 60 series without a change, at most three show one, although each has 25 places."""
    alarms = sum(bool(change_points(noisy((100, 30), seed=n), exact=False)) for n in range(60))
    assert alarms <= 3


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], [1.0, 2.0, 1.0, 2.0, 1.0]])
def test_a_short_series_has_no_change(values: list[float]) -> None:
    """Three points on each side are needed to know the scatter."""
    assert change_points(values, exact=False) == []


def test_every_step_of_an_exact_series_is_a_change() -> None:
    """One job is enough; the last tick of a timer is no step."""
    assert change_points([100.0, 100.001, 101.0, 101.0, 100.0], exact=True) == [2, 4]


def test_each_board_has_its_course() -> None:
    """Oldest first; a turn tells the means before and after, and the job since when."""
    jobs = [
        measured(f"x{n}", [100.0 if n < 6 else 90.0] * 2, board="x", finished_s=1e9 + n)
        for n in range(12)
    ]
    others = [measured(f"y{n}", [50.0], board="y", finished_s=1e9 + n) for n in range(3)]

    first, second = courses([*reversed(jobs), *others], MEASURES["decode"])

    assert (first.board, len(first.points), second.board) == ("x", 12, "y")
    (turn,) = first.turns
    assert (turn.before, turn.after, first.points[turn.index].job_id) == (100.0, 90.0, "x6")
    assert turn.share == pytest.approx(-0.1)
    assert second.turns == ()
