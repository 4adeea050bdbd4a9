"""What each operator took, and how that compares with what the board could do at best.

Attainable is the lower of two ceilings: the kernel's rate with data in the fastest memory, and the
rate at which the weights' region can be read. Where a ceiling was not measured there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from edgeprof.client.prediction.terms import MATRICES, has_batches
from edgeprof.shared.models.operators import calls_of
from edgeprof.shared.types.profile import (
    Ceilings,
    ModelDimensions,
    Operator,
    Phase,
    Profile,
    ProfileCell,
)


@dataclass(frozen=True, slots=True)
class OperatorUse:
    """One operator over a phase."""

    operator: Operator
    ticks: int
    seconds: float
    #: Of the phase's window, 0..1.
    share: float
    calls: int
    macs: int
    weight_bytes: int
    cache_bytes: int
    #: None without a ceiling.
    attainable_macs_per_second: float | None = None
    #: "compute" or "weights", whichever ceiling is the lower.
    binds: str | None = None

    @property
    def macs_per_second(self) -> float | None:
        """Multiply-accumulates a second; None for an operator without any."""
        return self.macs / self.seconds if self.macs and self.seconds else None

    @property
    def reached(self) -> float | None:
        """Share of the attainable rate, 0..1; a little above 1 where caches helped."""
        rate, attainable = self.macs_per_second, self.attainable_macs_per_second
        return rate / attainable if rate and attainable else None


def by_operator(
    profile: Profile, phase: Phase, dimensions: ModelDimensions, ceilings: Ceilings | None
) -> list[OperatorUse]:
    """Return the operators of a phase, the longest first."""
    window = profile.window_ticks(phase)
    kinds = _matrix_types(dimensions)
    # what a kernel does at best was measured at one position, not at a batch of them
    if phase is Phase.PREFILL and has_batches(profile, dimensions):
        kinds = {o: kind for o, kind in kinds.items() if o is Operator.HEAD}
    uses = []
    for operator, cells in _grouped(profile, phase).items():
        total = _summed(cells)
        attainable, binds = None, None
        if operator in MATRICES and ceilings is not None and operator in kinds:
            attainable, binds = _ceiling(
                total, kinds[operator], dimensions.weights_region, ceilings
            )
        uses.append(
            OperatorUse(
                operator=operator,
                ticks=total.ticks,
                seconds=total.ticks / profile.tick_hz,
                share=total.ticks / window,
                calls=total.calls,
                macs=total.macs,
                weight_bytes=total.weight_bytes,
                cache_bytes=total.cache_bytes,
                attainable_macs_per_second=attainable,
                binds=binds,
            )
        )
    return sorted(uses, key=lambda use: -use.ticks)


def by_layer(profile: Profile, phase: Phase) -> dict[int | None, int]:
    """Return the ticks of each layer; None stands for what belongs to none."""
    ticks: dict[int | None, int] = defaultdict(int)
    for cell in profile.cells:
        if cell.phase is phase:
            ticks[cell.layer] += cell.ticks
    return dict(ticks)


def _grouped(profile: Profile, phase: Phase) -> Mapping[Operator, list[ProfileCell]]:
    grouped: dict[Operator, list[ProfileCell]] = defaultdict(list)
    for cell in profile.cells:
        if cell.phase is phase:
            grouped[cell.operator].append(cell)
    return grouped


def _summed(cells: list[ProfileCell]) -> ProfileCell:
    return cells[0].model_copy(
        update={
            name: sum(getattr(cell, name) for cell in cells)
            for name in ("calls", "ticks", "macs", "weight_bytes", "cache_bytes")
        }
    )


def _matrix_types(dimensions: ModelDimensions) -> Mapping[Operator, str]:
    """Return the weight type of each matrix operator that has one in all layers."""
    found: dict[Operator, set[str]] = defaultdict(set)
    for call in calls_of(dimensions, head=True):
        if call.operator in MATRICES:
            found[call.operator].add(call.kind)
    return {operator: kinds.pop() for operator, kinds in found.items() if len(kinds) == 1}


def _ceiling(
    total: ProfileCell, kind: str, region: str, ceilings: Ceilings
) -> tuple[float | None, str | None]:
    kernel, read = ceilings.kernel(kind), ceilings.read_bytes_per_second(region)
    rates = []
    if kernel is not None:
        rates.append((kernel.macs_per_second, "compute"))
    if read is not None and total.weight_bytes:
        rates.append((read * total.macs / total.weight_bytes, "weights"))
    return min(rates) if len(rates) == 2 else (None, None)
