"""A sweep combines models, weight types and platforms. Each combination is queued or refused."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeprof.client.job import Job
from edgeprof.client.lab import Lab
from edgeprof.client.preparation import Batch
from edgeprof.client.request import Request
from edgeprof.shared.errors import JobError, ModelError
from edgeprof.shared.models.quantize import padding_note
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.model import Quantization


@dataclass(frozen=True, slots=True)
class Refused:
    """A combination that was not queued, and why: it does not fit, or the type does not apply."""

    request: Request
    error: ModelError | JobError


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep. jobs[i] is the job of requests[i]."""

    sweep_id: str
    requests: tuple[Request, ...]
    jobs: tuple[Job, ...]
    refused: tuple[Refused, ...]
    #: Each change (such as padding) that a weight type needed, once.
    notes: tuple[str, ...] = ()


def requests(
    models: Sequence[str | Path],
    quantizations: Sequence[Quantization | str | None],
    platforms: Sequence[str],
    base: Request,
) -> list[Request]:
    """Return every combination; `base` gives all other fields."""
    return [
        dataclasses.replace(base, model=model, quantization=quantization, platform=platform)
        for model in models
        for quantization in quantizations
        for platform in platforms
    ]


def submit(lab: Lab, combinations: Sequence[Request], *, name: str = "sweep") -> SweepResult:
    """Queue all combinations that can run, in one go; the others come back with the reason.

    An unknown name raises UsageError: a typo must stop the sweep, not shrink it silently.
    """
    sweep_id = f"{name}-{secrets.token_hex(4)}"
    boards, batch = lab.boards(), Batch()
    taken, planned, refused = [], [], []
    for combination in combinations:
        request = dataclasses.replace(combination, sweep_id=sweep_id)
        try:
            planned.append(lab.plan(request, boards, batch))
        except (ModelError, JobError) as error:
            refused.append(Refused(request, error))
        else:
            taken.append(request)
    with tracing.sweep_span(sweep_id):
        jobs = lab.submit_planned(planned)
    # A dict, because it keeps their order.
    notes = dict.fromkeys(filter(None, (padding_note(plan.model) for plan in planned)))
    return SweepResult(sweep_id, tuple(taken), tuple(jobs), tuple(refused), tuple(notes))
