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
    specs: dict[int, tuple[int, int]] = {}  # id() of a spec -> numbers of its kind and its JSON
    kinds: dict[tuple[Any, ...], int] = {}
    texts: list[str] = []
    rows: list[Any] = []
    for job in jobs:
        found = specs.get(id(job.spec))
        if found is None:
            kind = (*_doorbell(job.spec, notify=notify), *_common_fields(job.spec).values())
            texts.append(job.spec.model_dump_json())
            found = kinds.setdefault(kind, len(kinds) + 1), len(texts)
            specs[id(job.spec)] = found
        if notify:
            rows += (job.id, *found, job.traceparent, doorbell.body(job.id), str(uuid.uuid4()))
        else:
            rows += (job.id, *found, job.traceparent, "", "")
    needed = [part for blob in blobs for part in (blob.sha256, blob.n_bytes, blob.keep_s)]
    names = _common_fields(jobs[0].spec) if jobs else ()
    values = [value for kind in kinds for value in kind]
    head = [actor, len(blobs), *needed, len(names), *names]
    return [*head, len(kinds), *values, len(texts), *texts, *rows]


def _common_fields(spec: JobSpec) -> dict[str, Any]:
    """Return the fields of a record that many jobs of a sweep share; lua/keys.lua explains them."""
    return {
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
