"""What a platform's operators cost, fitted to profiles of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from edgeprof.client.prediction.terms import (
    BATCHED,
    MATRIX,
    Key,
    Terms,
    cache_type,
    has_batches,
    work_of,
)
from edgeprof.shared.models.fit import has_room_for_batches
from edgeprof.shared.types.model import KvType
from edgeprof.shared.types.profile import (
    CEILING_COLUMNS,
    Ceilings,
    ModelDimensions,
    Operator,
    Phase,
    Profile,
)
from edgeprof.shared.types.result import CaseResult, JobResult

#: Condition number beyond which terms count as the same: noise would be taken for a difference.
_MOST_ALIKE: Final = 200.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A case that was measured on a platform, with its profile if it has one."""

    dimensions: ModelDimensions
    n_prompt: int
    n_gen: int
    prefill_s: float
    #: Sum of the decode steps; 0 without any.
    decode_s: float
    profile: Profile | None = None
    ceilings: Ceilings | None = None
    #: RAM regions, and what the weights in flash leave free there for a model's state.
    ram_bytes: Mapping[str, int] = field(default_factory=dict)


def measured_of(result: JobResult) -> list[Measured]:
    """Return the cases of a result; none of a record that does not hold the model's sizes."""
    if result.dimensions is None:
        return []
    return [_measured(result, result.dimensions, case) for case in result.cases]


def _measured(result: JobResult, dimensions: ModelDimensions, case: CaseResult) -> Measured:
    return Measured(
        dimensions=dimensions,
        n_prompt=case.n_prompt,
        n_gen=max(case.n_gen, 1),
        prefill_s=case.ttft_s.mean,
        decode_s=sum(case.position_latency_s),
        profile=case.profile,
        ceilings=result.ceilings,
        ram_bytes=_ram_bytes(result),
    )


def _ram_bytes(result: JobResult) -> dict[str, int]:
    """Return what was free before the state came: weights in RAM stay there."""
    free = {r.name: r.total_bytes - r.used_bytes for r in result.regions if r.kind == "ram"}
    for use in result.memory:
        if use.region in free and use.category != "weights":
            free[use.region] += use.used_bytes
    return free


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds of each term, by what costs it."""

    by_key: Mapping[Key, Terms]
    ceilings: Ceilings | None
    #: Whether boards of this platform take several positions of a prompt at a time.
    batched: bool = False
    #: The most RAM that was free on one of them for a model's state.
    ram_bytes: Mapping[str, int] = field(default_factory=dict)

    def batches(self, dimensions: ModelDimensions, n_ctx: int) -> bool:
        """Return whether a prompt of this model would go in batches."""
        kv_type = KvType(dimensions.kv_type)
        return self.batched and (
            not self.ram_bytes or has_room_for_batches(dimensions, n_ctx, kv_type, self.ram_bytes)
        )

    def of(self, key: Key) -> Terms | None:
        """Return the cost of a key. A type that was not profiled is scaled by its ceiling.

        None where nothing is known that could be scaled. That is so for another type of the cache:
        boards measure no ceiling of attention, and on RV32 an F32 cache makes the scores 1.6 times
        as long and the mix 0.7 times.
        """
        found = self.by_key.get(key)
        if found is not None:
            return found
        if key.family in (MATRIX, BATCHED):
            return self._scaled(key)
        cache = cache_type(key)
        return next(
            (
                cost
                for other, cost in self.by_key.items()
                if other.family == key.family and cache_type(other) == cache
            ),
            None,
        )

    def _scaled(self, key: Key) -> Terms | None:
        if self.ceilings is None:
            return None
        wanted = self.ceilings.kernel(key.kind)
        donors = sorted(
            (other for other in self.by_key if other.family == key.family),
            key=lambda other: (other.kind != key.kind, other.region != key.region),
        )
        for donor in donors:
            known = self.ceilings.kernel(donor.kind)
            if known is None or wanted is None:
                continue
            faster = wanted.macs_per_second / known.macs_per_second
            calls, rows, macs = self.by_key[donor]
            return np.array([calls, rows, macs / faster])
        return None


@dataclass(frozen=True, slots=True)
class Observed:
    """What a sample tells of costs: nothing without a profile."""

    rows: Sequence[tuple[dict[Key, Terms], float]] = ()
    ceilings: Ceilings | None = None
    batched: bool = False
    ram_bytes: Mapping[str, int] = field(default_factory=dict)


def observe(sample: Measured) -> Observed:
    """Return what a sample tells of costs."""
    profile = sample.profile
    if profile is None:
        return Observed()
    batched = has_batches(profile, sample.dimensions)
    rows = _observed(sample, profile, batched=batched)
    return Observed(rows, sample.ceilings, batched, sample.ram_bytes)


def fit(samples: Iterable[Measured]) -> Costs:
    """Fit costs to all samples that have a profile."""
    return fit_observed(map(observe, samples))


def fit_observed(observed: Iterable[Observed]) -> Costs:
    """Fit costs to what was observed; who fits many times observes once, which takes longer.

    First of what the profiles tell apart; then of batches, from operators that had positions in
    batches and single ones, whose cost is known by then.
    """
    ceilings, batched = None, False
    ram: dict[str, int] = {}
    seen: list[tuple[dict[Key, Terms], float]] = []
    for each in observed:
        ceilings = each.ceilings or ceilings
        batched |= each.batched
        seen += each.rows
        ram |= {name: max(n, ram.get(name, 0)) for name, n in each.ram_bytes.items()}
    costs: dict[Key, Terms] = {}
    for _ in range(2):
        rows: dict[Key, list[tuple[Terms, float]]] = defaultdict(list)
        for parts, seconds in seen:
            new = parts.keys() - costs.keys()
            rest = seconds - sum(float(costs[key] @ parts[key]) for key in parts.keys() - new)
            if len(new) == 1 and rest > 0:
                (key,) = new
                rows[key].append((parts[key], rest))
        costs |= {key: _fitted([*found, *_at_best(key, ceilings)]) for key, found in rows.items()}
    return Costs(costs, ceilings, batched, ram)


def _at_best(key: Key, ceilings: Ceilings | None) -> list[tuple[Terms, float]]:
    """Return a kernel's ceiling as one more observation: its matrix has a shape of its own."""
    kernel = ceilings.kernel(key.kind) if ceilings and key.family == MATRIX else None
    if kernel is None:
        return []
    macs = float(kernel.rows * CEILING_COLUMNS)
    return [(np.array([1.0, kernel.rows, macs]), macs / kernel.macs_per_second)]


def _observed(
    sample: Measured, profile: Profile, *, batched: bool
) -> list[tuple[dict[Key, Terms], float]]:
    """Return terms and seconds of each operator and phase, without the time of looking.

    Each time that the timer is read costs the operator before it the same: what all operators have
    too much, against the plain run, is spread over all readings.
    """
    ticks: dict[tuple[Phase, Operator], int] = defaultdict(int)
    readings: dict[tuple[Phase, Operator], int] = defaultdict(int)
    for cell in profile.cells:
        ticks[cell.phase, cell.operator] += cell.ticks
        readings[cell.phase, cell.operator] += cell.calls
    plain_s = sample.prefill_s + sample.decode_s
    looked_s = sum(ticks.values()) / profile.tick_hz
    reading_s = max(looked_s - plain_s, 0.0) / sum(readings.values())
    found = []
    for phase in Phase:
        if phase is Phase.DECODE and sample.n_gen < 2:
            continue
        work = work_of(
            sample.dimensions,
            phase,
            sample.n_prompt,
            sample.n_gen,
            batched=batched,
        )
        by_operator: dict[Operator, dict[Key, Terms]] = defaultdict(dict)
        for (operator, key), done in work.items():
            by_operator[operator][key] = done.terms
        for operator, parts in by_operator.items():
            if (phase, operator) not in ticks:
                continue
            seconds = ticks[phase, operator] / profile.tick_hz
            seconds -= readings[phase, operator] * reading_s
            if seconds > 0:
                found.append((parts, seconds))
    return found


def _fitted(rows: Sequence[tuple[Terms, float]]) -> Terms:
    """Fit terms to seconds, with equal relative errors; no term is negative.

    Elements first, then rows, then calls: a term that the observations do not tell from those
    before it is left out.
    """
    seconds = np.array([second for _, second in rows])
    terms = np.array([term for term, _ in rows]) / seconds[:, None]
    kept: list[int] = []
    for term in reversed(range(terms.shape[1])):
        if terms[:, term].any() and _apart(terms[:, [*kept, term]]):
            kept.append(term)
    while True:
        solved = np.linalg.lstsq(terms[:, kept], np.ones(len(rows)), rcond=None)[0]
        if solved.min() >= 0 or len(kept) == 1:
            cost = np.zeros(terms.shape[1])
            cost[kept] = np.maximum(solved, 0)
            return cost
        del kept[int(np.argmin(solved))]


def _apart(columns: Terms) -> bool:
    scaled = columns / np.linalg.norm(columns, axis=0)
    return bool(np.linalg.cond(scaled) < _MOST_ALIKE)
