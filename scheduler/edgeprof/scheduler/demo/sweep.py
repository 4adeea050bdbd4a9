"""What the demo profiles: each bundled model in each type it can have, on each platform."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from edgeprof.scheduler.demo.processes import PLATFORMS
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


def requests(models: Sequence[str], *, n_prompt: int, n_gen: int) -> list[Request]:
    """Return every combination, as one sweep."""
    sweep_id = f"demo-{secrets.token_hex(4)}"
    return [
        Request(
            model=model,
            quantization=quantization,
            platform=platform,
            n_prompt=n_prompt,
            n_gen=n_gen,
            sweep_id=sweep_id,
        )
        for model, quantization, platform in itertools.product(models, QUANTIZATIONS, PLATFORMS)
    ]


def plan(lab: Lab, request: Request, boards: Sequence[BoardInfo]) -> Planned | Refusal | None:
    """Check one combination; None when the model has no such type (its rows do not divide)."""
    try:
        return lab.plan(request, boards)
    except ModelError as error:
        if error.code == "block_size":
            return None
        return Refusal(
            str(request.model),
            Quantization(str(request.quantization)),
            str(request.platform),
            str(error),
        )
