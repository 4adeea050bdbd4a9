"""Two selections of jobs, row by row: what became better, worse, stayed the same, or is not known.

A row is one measure of one model on one platform, with the same prompt, counts, context and cache.
Run-to-run spread is the noise of one board; board-to-board spread is kept apart from it: boards
that are on both sides are compared with themselves.
"""

from __future__ import annotations

import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeprof.client.comparable import Key, Measured, Place, grouped, identity_of
from edgeprof.client.estimate import (
    Change,
    Estimate,
    change,
    change_of_boards,
    repetitions_needed,
)
from edgeprof.client.measures import MEASURES, Measure, Nature, counts_instructions
from edgeprof.client.trust import Doubtful, doubts_about
from edgeprof.shared.types.result import JobView

#: A smaller change does not matter, unless the caller says so.
MARGIN: Final = 0.01
#: Values of exact measures closer than this are the same: a timer's last tick.
_EXACT: Final = 2e-4


class Verdict(StrEnum):
    """What became of a row."""

    BETTER = "better"
    WORSE = "worse"
    SAME = "same"
    UNKNOWN = "can't tell"


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a row."""

    mean: float
    n_jobs: int
    n_runs: int
    boards: tuple[str, ...]
    #: Standard deviation between runs of one board, as a share of the mean; None for single runs.
    run_spread: float | None
    #: The same between the means of boards; None for one board.
    board_spread: float | None
    firmware: tuple[str, ...]
    doubts: tuple[Doubtful, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One measure on both sides."""

    key: Key
    measure: Measure
    old: Side
    new: Side
    change: Change
    verdict: Verdict
    #: Whether both sides are exact: the interval has no width because there is no noise.
    exact: bool
    #: Repetitions a job that would tell; None where the verdict tells, or no number is known.
    needed: int | None = None
    #: Why it cannot be told, beside noise; "" when there is no such reason.
    why: str = ""

    @property
    def ratio(self) -> float:
        """New by old."""
        return 1 + self.change.mean


@dataclass(frozen=True, slots=True)
class Comparison:
    """All rows of two selections."""

    rows: tuple[Row, ...]
    #: Rows that only one side has.
    only_old: tuple[Key, ...]
    only_new: tuple[Key, ...]


def compare(
    old: Iterable[JobView],
    new: Iterable[JobView],
    *,
    measures: Collection[str] = tuple(MEASURES),
    margin: float = MARGIN,
) -> Comparison:
    """Compare two selections. A change within +-`margin` counts as the same."""
    sides = grouped(old, measures), grouped(new, measures)
    rows = tuple(
        _row(place, sides[0][place], sides[1][place], margin)
        for place in sides[0]
        if place in sides[1]
    )
    keys = [dict.fromkeys(key for key, *_ in side) for side in sides]
    return Comparison(
        rows,
        tuple(key for key in keys[0] if key not in keys[1]),
        tuple(key for key in keys[1] if key not in keys[0]),
    )


def _row(place: Place, old: Measured, new: Measured, margin: float) -> Row:
    key, name, _ = place
    measure = MEASURES[name]
    shared = [uid for uid in old.of_board if uid in new.of_board]
    exact = all(map(_is_exact, ((measure, old), (measure, new))))
    estimates = _estimates(old, shared), _estimates(new, shared)
    sides = (
        _side(measure, old, estimates[0]),
        _side(measure, new, estimates[1]),
    )
    if exact:
        moved = sides[1].mean / sides[0].mean - 1
        found = Change(moved, moved, moved)
        verdict = Verdict.SAME if abs(moved) <= _EXACT else _direction(moved, measure)
        return Row(key, measure, *sides, found, verdict, exact=True)
    if not shared:
        means = [[estimate.mean for estimate in side.values()] for side in estimates]
        found = change_of_boards(*means)
        verdict = _verdict(found, measure, margin)
        why = "no board is on both sides" if verdict is Verdict.UNKNOWN else ""
        return Row(key, measure, *sides, found, verdict, exact=False, why=why)
    pairs = [(estimates[0][uid], estimates[1][uid]) for uid in shared]
    found = change(pairs)
    verdict = _verdict(found, measure, margin)
    if verdict is not Verdict.UNKNOWN:
        return Row(key, measure, *sides, found, verdict, exact=False)
    return Row(
        key,
        measure,
        *sides,
        found,
        verdict,
        exact=False,
        needed=repetitions_needed(pairs, max(abs(found.mean), margin - abs(found.mean))),
        why=_why_unknown(found, pairs),
    )


def _is_exact(side: tuple[Measure, Measured]) -> bool:
    """Whether every repetition gave the same, by the nature of the measure and in fact."""
    measure, jobs = side
    if measure.nature is Nature.METERED:
        return False
    if measure.nature is Nature.TIMED and not all(
        counts_instructions(identity_of(view)) for view in jobs.views
    ):
        return False
    return all(
        max(values) - min(values) <= _EXACT * max(values)
        for values in ([value for job in of for value in job] for of in jobs.of_board.values())
    )


def _estimates(jobs: Measured, shared: Sequence[str]) -> Mapping[str, Estimate]:
    return {uid: Estimate.of(jobs.of_board[uid]) for uid in shared or jobs.of_board}


def _side(measure: Measure, jobs: Measured, estimates: Mapping[str, Estimate]) -> Side:
    counted = [jobs.of_board[uid] for uid in estimates]
    means = [estimate.mean for estimate in estimates.values()]
    mean = statistics.fmean(means)
    views = [view for view in jobs.views if identity_of(view).board_uid in estimates]
    return Side(
        mean=mean,
        n_jobs=sum(map(len, counted)),
        n_runs=sum(len(job) for of in counted for job in of),
        boards=tuple(jobs.names[uid] for uid in estimates),
        run_spread=_run_spread(counted),
        board_spread=statistics.stdev(means) / mean if len(means) > 1 else None,
        firmware=tuple(dict.fromkeys(identity_of(view).firmware_git_hash for view in views)),
        doubts=tuple(doubts_about(views, measure)),
    )


def _run_spread(counted: Sequence[Sequence[Sequence[float]]]) -> float | None:
    """Return the standard deviation around each board's mean, pooled over the boards."""
    shares = [
        (statistics.variance(runs) / statistics.fmean(runs) ** 2, len(runs) - 1)
        for runs in ([run for job in of for run in job] for of in counted)
        if len(runs) > 1
    ]
    if not shares:
        return None
    pooled = sum(variance * df for variance, df in shares) / sum(df for _, df in shares)
    return float(pooled**0.5)


def _verdict(found: Change, measure: Measure, margin: float) -> Verdict:
    if found.low is None or found.high is None:
        return Verdict.UNKNOWN
    if -margin <= found.low and found.high <= margin:
        return Verdict.SAME
    return _direction(found.mean, measure) if found.certain else Verdict.UNKNOWN


def _direction(moved: float, measure: Measure) -> Verdict:
    return Verdict.BETTER if (moved > 0) == measure.more_is_better else Verdict.WORSE


def _why_unknown(found: Change, pairs: Sequence[tuple[Estimate, Estimate]]) -> str:
    if found.low is None:
        return "a single run has no spread"
    if any(estimate.of_jobs for pair in pairs for estimate in pair):
        return "jobs of one board differ more than their runs do"
    return ""
