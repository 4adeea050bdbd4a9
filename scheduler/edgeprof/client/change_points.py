"""Finds where a series of measurements changed for good, and where it only scattered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgeprof.client.estimate import p_of_step

#: Probability that a series without a change shows one.
_FALSE_ALARM: Final = 0.01
#: Points on each side of a change, for their scatter to be known.
_FEWEST: Final = 3
#: Smaller steps are not worth a mark.
_LEAST: Final = 0.005
#: Steps of an exact series are real when they are larger than a tick of the timer.
_TICK: Final = 2e-4


def change_points(values: Sequence[float], *, exact: bool) -> list[int]:
    """Return the indices of the first value after each change.

    exact: the values have no noise, so every step is a change. Else the series is cut where
    Welch's test is surest, and each part again, as long as the surest cut is no chance: with many
    places to cut, the best of them looks good by chance, so the limit is divided by their number.
    """
    if exact:
        return [i for i in range(1, len(values)) if _step(values[i - 1], values[i]) > _TICK]
    return sorted(_cut(values, 0))


def _cut(values: Sequence[float], offset: int) -> list[int]:
    places = range(_FEWEST, len(values) - _FEWEST + 1)
    if not places:
        return []
    p, place = min((p_of_step(values[:i], values[i:]), i) for i in places)
    before, after = values[:place], values[place:]
    step = _step(sum(before) / len(before), sum(after) / len(after))
    if p * len(places) > _FALSE_ALARM or step < _LEAST:
        return []
    return [*_cut(before, offset), offset + place, *_cut(after, offset + place)]


def _step(before: float, after: float) -> float:
    return abs(after / before - 1)
