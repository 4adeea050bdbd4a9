"""A sweep: many requests at once. Each becomes a job or a refusal with its reason."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edgeprof.client.job import Job
from edgeprof.client.lab import Lab
from edgeprof.client.planning import Planned
from edgeprof.client.preparation import Batch
from edgeprof.client.request import Request
from edgeprof.shared.errors import JobError, ModelError
from edgeprof.shared.models.quantize import padding_note
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.board import BoardInfo


@dataclass(frozen=True, slots=True)
class Refused:
    """A combination that was not queued, and why: it does not fit, or the type does not apply."""

    request: Request
    error: ModelError | JobError


@dataclass(slots=True)
class Plan:
    """What a sweep would queue, and what it refuses; nothing is queued yet."""

    planned: list[tuple[Request, Planned]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    #: Files that were read: the models that all of it is about.
    batch: Batch = field(default_factory=dict)

    def add(self, lab: Lab, request: Request, boards: Sequence[BoardInfo]) -> bool:
        """Plan a request; whether it can run. Raises UsageError for an unknown name.

        A typo must stop the sweep, not shrink it silently.
        """
        try:
            self.planned.append((request, lab.plan(request, boards, self.batch)))
        except (ModelError, JobError) as error:
            self.refused.append(Refused(request, error))
            return False
        return True


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep. jobs[i] is the job of requests[i]."""

    sweep_id: str
    requests: tuple[Request, ...]
    jobs: tuple[Job, ...]
    refused: tuple[Refused, ...]
    #: Each change (such as padding) that a weight type needed, once.
    notes: tuple[str, ...] = ()


def submit(lab: Lab, combinations: Iterable[Request], *, name: str = "sweep") -> SweepResult:
    """Queue all combinations that can run, in one go; the others come back with the reason.

    Raises UsageError for an unknown name.
    """
    boards, plan = lab.boards(), Plan()
    for combination in combinations:
        plan.add(lab, combination, boards)
    return submit_plan(lab, plan, f"{name}-{secrets.token_hex(4)}")


def submit_plan(lab: Lab, plan: Plan, sweep_id: str) -> SweepResult:
    """Queue what is planned, as jobs of this sweep."""
    of_sweep = [
        dataclasses.replace(made, spec=made.spec.model_copy(update={"sweep_id": sweep_id}))
        for _, made in plan.planned
    ]
    requests = [dataclasses.replace(asked, sweep_id=sweep_id) for asked, _ in plan.planned]
    with tracing.sweep_span(sweep_id):
        jobs = lab.submit_planned(of_sweep)
    # A dict, because it keeps their order.
    notes = dict.fromkeys(filter(None, (padding_note(made.model) for made in of_sweep)))
    refused = tuple(
        Refused(dataclasses.replace(each.request, sweep_id=sweep_id), each.error)
        for each in plan.refused
    )
    return SweepResult(sweep_id, tuple(requests), tuple(jobs), refused, tuple(notes))
