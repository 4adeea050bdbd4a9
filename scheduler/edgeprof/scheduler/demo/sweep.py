"""What the demo profiles: each bundled model in each type it can have, on each platform."""

from __future__ import annotations

from dataclasses import dataclass

from edgeprof.scheduler.lab import Lab, Planned, Request
from edgeprof.shared.errors import ModelError
from edgeprof.shared.jobs import BoardInfo, Quantization

QUANTIZATIONS = (Quantization.F32, Quantization.Q8_0, Quantization.Q4_0, Quantization.TQ2_0)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A combination that was not queued, and why."""

    model: str
    quantization: Quantization
    platform: str
    reason: str


def plan(
    lab: Lab,
    model: str,
    quantization: Quantization,
    platform: str,
    boards: list[BoardInfo],
    *,
    sweep_id: str,
    n_gen: int,
) -> Planned | Refusal | None:
    """Check one combination; None when the model has no such type (its rows do not divide)."""
    request = Request(
        model=model, quantization=quantization, platform=platform, sweep_id=sweep_id, n_gen=n_gen
    )
    try:
        return lab.plan(request, boards)
    except ModelError as error:
        if error.code == "block_size":
            return None
        return Refusal(model, quantization, platform, str(error))
