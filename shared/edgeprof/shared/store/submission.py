"""The arguments of the script's `submit`: what many jobs have in common travels once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeprof.shared.queue import doorbell
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.types.job import JobSpec


@dataclass(frozen=True, slots=True)
class NeededBlob:
    """A model file that has to be in the store before a job is."""

    sha256: str
    n_bytes: int
    keep_s: int


def arguments(
    jobs: Sequence[NewJob], actor: str, blobs: Sequence[NeededBlob], *, notify: bool
) -> list[Any]:
    """Return the arguments for these jobs; lua/submit.lua explains them."""
    numbers: dict[int, int] = {}  # id() of a spec -> number of its record
    records: list[Any] = []
    names: list[str] = []
    rows: list[Any] = []
    for job in jobs:
        number = numbers.get(id(job.spec))
        if number is None:
            number = numbers[id(job.spec)] = len(numbers) + 1
            record = _record(job.spec)
            names = names or list(record)
            records += (*_doorbell(job.spec, notify=notify), *record.values())
        trace = job.traceparent
        if notify:
            rows += (job.id, number, trace, doorbell.body(job.id), str(uuid.uuid4()))
        else:
            rows += (job.id, number, trace, "", "")
    needed = [part for blob in blobs for part in (blob.sha256, blob.n_bytes, blob.keep_s)]
    return [actor, len(blobs), *needed, len(names), *names, len(numbers), *records, *rows]


def _record(spec: JobSpec) -> dict[str, Any]:
    """Return the fields of a job's record that its client fills in; lua/keys.lua explains them."""
    return {
        "spec": spec.model_dump_json(),
        "schema": spec.schema_version,
        "queue": spec.target.queue,
        "platform": spec.target.platform or "",
        "priority": spec.priority,
        "user": spec.user,
        "queue_timeout_s": spec.queue_timeout_s,
        "max_attempts": spec.max_attempts,
        "label": spec.label,
    }


def _doorbell(spec: JobSpec, *, notify: bool) -> list[str]:
    """Return the list of a job's doorbells and the pieces of one; empty when none is sent."""
    if not notify:
        return [""] * 8
    step = doorbell.transport_priority(spec.priority)
    queue = spec.target.queue
    return [doorbell.list_key(queue, step), *doorbell.pieces(queue, step, spec.label)]
