"""Which row of a sweep to take: the Pareto frontier, and the fastest row within limits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, inf
from typing import Any, Final

from edgeprof.client.sweep_rows import SweepRow

#: More perplexity than this is too much, unless another limit is given.
DEFAULT_PPL_INCREASE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What a row may cost at most; None limits nothing."""

    ppl_increase: float | None = DEFAULT_PPL_INCREASE
    ttft_s: float | None = None
    ram_bytes: int | None = None

    def admits(self, row: SweepRow) -> bool:
        """Whether a row is within the limits. A value that was not measured is not, but for
        perplexity where the whole sweep has none."""
        return (
            _within(row.perplexity_increase, self.ppl_increase)
            and _within(row.ttft_s, self.ttft_s)
            and _within(row.ram_bytes, self.ram_bytes)
        )


def frontier(rows: Sequence[SweepRow]) -> set[str]:
    """Return the ids of the rows that no other one beats: the Pareto frontier.

    Rows of one platform and one test are compared, by speed, perplexity, RAM and, where all have
    it, energy. A row is beaten by one that is better in something and worse in nothing.
    """
    groups: defaultdict[tuple[Any, ...], list[SweepRow]] = defaultdict(list)
    for row in rows:
        groups[row.platform, row.test_key].append(row)
    return {
        row.job_id
        for group in groups.values()
        for row in group
        if not any(_beats(other, row) for other in group)
    }


def recommended(rows: Sequence[SweepRow], limits: Limits) -> SweepRow | None:
    """Return the row to take, or None when none is within the limits.

    What is chosen (model, type, target, cache type, context) has to be within the limits in every
    test of the sweep. Of those the one is taken whose slowest test is the fastest; the row is that
    test's. What was measured in fewer tests than others is left out: it failed there, or did not
    fit.
    """
    if all(row.perplexity is None for row in rows):
        limits = Limits(None, limits.ttft_s, limits.ram_bytes)
    choices: defaultdict[tuple[Any, ...], list[SweepRow]] = defaultdict(list)
    for row in rows:
        choices[row.choice].append(row)
    good = [each for each in choices.values() if all(map(limits.admits, each))]
    most = max((len({row.test_key for row in each}) for each in good), default=0)
    slowest = [
        min(each, key=lambda row: row.speed.mean)
        for each in good
        if len({row.test_key for row in each}) == most
    ]
    return max(slowest, key=_rank, default=None)


def _rank(row: SweepRow) -> tuple[float, float, float]:
    """Return by what rows are ordered; of equally fast ones, the better and the smaller."""
    perplexity = inf if row.perplexity is None else row.perplexity
    return row.speed.mean, -perplexity, -(row.ram_bytes or 0)


def _beats(one: SweepRow, other: SweepRow) -> bool:
    """Whether `one` is better in something and worse in nothing.

    Speeds that differ by less than their deviations count as equal. What was not measured is
    better than nothing.
    """
    gain = one.speed.mean - other.speed.mean
    if abs(gain) <= hypot(one.speed.sd, other.speed.sd):
        gain = 0.0
    gains = [gain]
    costs = [
        (one.perplexity, other.perplexity),
        (one.ram_bytes, other.ram_bytes),
        (one.energy_per_token_mj, other.energy_per_token_mj),
    ]
    for mine, theirs in costs:
        if mine is None and theirs is not None:
            return False
        if mine is not None and theirs is not None:
            gains.append(theirs - mine)
    return max(gains) > 0 and min(gains) >= 0


def _within(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)
