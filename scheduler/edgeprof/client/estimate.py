"""Means of repeated measurements, how sure they are, and how surely two of them differ.

Welch's method: the two sides may vary differently. Changes are differences of logarithms, so that
several boards, one twice as fast as the other, can be averaged.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client import student

#: Jobs of one board count as different, beyond what their runs explain, below this probability.
_JOBS_DIFFER_P: Final = 0.05
#: More repetitions a job than this are not proposed.
MOST_REPETITIONS: Final = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean of one board on one side of a comparison."""

    mean: float
    #: Of the mean, as a share of it squared; None for a single measurement.
    variance: float | None
    df: int
    #: How many measurements the variance comes from.
    n: int
    #: Whether they are jobs: the jobs of this board differ more than their runs do.
    of_jobs: bool = False

    @classmethod
    def of(cls, jobs: Sequence[Sequence[float]]) -> Estimate:
        """Estimate from the runs of each job. Runs are pooled unless the jobs differ."""
        runs = [run for job in jobs for run in job]
        of_jobs = _jobs_differ(jobs)
        units = [statistics.fmean(job) for job in jobs] if of_jobs else runs
        mean, n = statistics.fmean(units), len(units)
        if n < 2:
            return cls(mean, None, 0, n)
        return cls(mean, statistics.variance(units) / n / mean**2, n - 1, n, of_jobs)


@dataclass(frozen=True, slots=True)
class Change:
    """How much the new side is above the old one, as shares: 0.05 is 5 % more."""

    mean: float
    #: Ends of the interval; None without a measure of the spread.
    low: float | None
    high: float | None

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


def change(pairs: Sequence[tuple[Estimate, Estimate]]) -> Change:
    """Return the change, old to new, over boards that were measured on both sides."""
    mean = statistics.fmean(math.log(new.mean / old.mean) for old, new in pairs)
    parts: list[tuple[float, int]] = []
    for each in (estimate for pair in pairs for estimate in pair):
        if each.variance is None:
            return Change(math.expm1(mean), None, None)
        parts.append((each.variance / len(pairs) ** 2, each.df))
    return _interval(mean, parts)


def change_of_boards(old: Sequence[float], new: Sequence[float]) -> Change:
    """Return the change between the means of different boards: the boards are the sample."""
    logs = [math.log(mean) for mean in old], [math.log(mean) for mean in new]
    mean = statistics.fmean(logs[1]) - statistics.fmean(logs[0])
    if min(map(len, logs)) < 2:
        return Change(math.expm1(mean), None, None)
    return _interval(mean, [(statistics.variance(x) / len(x), len(x) - 1) for x in logs])


def repetitions_needed(pairs: Sequence[tuple[Estimate, Estimate]], half: float) -> int | None:
    """Return how many measurements a board and side would make the interval +-`half`.

    None when it would take more than MOST_REPETITIONS, or when the spread is not known.
    """
    spread = 0.0
    for each in (estimate for pair in pairs for estimate in pair):
        if each.variance is None:
            return None
        spread += each.variance * each.n / len(pairs) ** 2
    low, high = 2, MOST_REPETITIONS + 1
    while low < high:
        n = (low + high) // 2
        df = 2 * len(pairs) * (n - 1)
        if student.half_width(df) * math.sqrt(spread / n) <= half:
            high = n
        else:
            low = n + 1
    return low if low <= MOST_REPETITIONS else None


def p_of_step(old: Sequence[float], new: Sequence[float]) -> float:
    """Return the probability of means that differ so much, if nothing had changed (Welch)."""
    parts = [(statistics.variance(side) / len(side), len(side) - 1) for side in (old, new)]
    distance = statistics.fmean(new) - statistics.fmean(old)
    error = math.sqrt(sum(variance for variance, _ in parts))
    if not error:
        return 0.0 if distance else 1.0
    return student.p_value(distance / error, _df(parts))


def _interval(mean: float, parts: Sequence[tuple[float, int]]) -> Change:
    error = math.sqrt(sum(variance for variance, _ in parts))
    half = student.half_width(_df(parts)) * error if error else 0.0
    return Change(math.expm1(mean), math.expm1(mean - half), math.expm1(mean + half))


def _df(parts: Sequence[tuple[float, int]]) -> float:
    """Return Welch and Satterthwaite's degrees of freedom of a sum of variances."""
    total = sum(variance for variance, _ in parts)
    return float(total**2 / sum(variance**2 / df for variance, df in parts))


def _jobs_differ(jobs: Sequence[Sequence[float]]) -> bool:
    """Whether jobs of one board differ more than their runs explain (analysis of variance)."""
    n, k = sum(map(len, jobs)), len(jobs)
    if k < 2 or n == k:
        return False
    grand = statistics.fmean(run for job in jobs for run in job)
    means = [statistics.fmean(job) for job in jobs]
    between = sum(len(job) * (mean - grand) ** 2 for job, mean in zip(jobs, means, strict=True))
    within = sum((run - mean) ** 2 for job, mean in zip(jobs, means, strict=True) for run in job)
    if not within:
        return between > 0
    f = (between / (k - 1)) / (within / (n - k))
    return student.f_p_value(f, k - 1, n - k) < _JOBS_DIFFER_P
