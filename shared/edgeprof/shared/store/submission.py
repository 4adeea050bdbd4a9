"""The arguments of the script's `submit`: what many jobs have in common travels once."""

from __future__ import annotations

import json
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
    # id() of a spec, and whose doorbell -> numbers of its kind and its JSON
    specs: dict[tuple[int, str | None], tuple[int, int]] = {}
    kinds: dict[tuple[str, ...], int] = {}  # by the fields of the record, and whose doorbell
    shared: list[dict[str, Any]] = []
    texts: list[str] = []
    rows: list[Any] = []
    for job in jobs:
        found = specs.get((id(job.spec), job.told_by))
        if found is None:
            record = _record(job)
            told_by = job.spec.target.queue if job.told_by is None else job.told_by
            number = kinds.setdefault((*record.values(), told_by), len(kinds) + 1)
            if number > len(shared):
                queue = told_by if notify else ""
                shared.append({"record": record, **_doorbell(job.spec, queue)})
            texts.append(job.spec.model_dump_json())
            found = specs[id(job.spec), job.told_by] = number, len(texts)
        if notify:
            rows += (job.id, *found, job.traceparent, doorbell.body(job.id), str(uuid.uuid4()))
        else:
            rows += (job.id, *found, job.traceparent, "", "")
    needed = [(blob.sha256, blob.n_bytes, blob.keep_s) for blob in blobs]
    head = json.dumps({"blobs": needed, "kinds": shared})
    return [actor, head, len(texts), *texts, *rows]


def _record(job: NewJob) -> dict[str, str]:
    """Return the fields of a record that many jobs of a sweep share; lua/keys.lua explains them."""
    spec, expected = job.spec, job.expected
    record = {
        "schema": str(spec.schema_version),
        "queue": spec.target.queue,
        "platform": spec.target.platform or "",
        "priority": str(spec.priority),
        "user": spec.user,
        "queue_timeout_s": str(spec.queue_timeout_s),
        "max_attempts": str(spec.max_attempts),
        "label": spec.label,
        "require": json.dumps(spec.require, sort_keys=True) if spec.require else "",
    }
    if expected is not None:
        record |= {"expected_s": f"{expected.attempt_s:.3g}", "expected_by": expected.basis}
    return record


def _doorbell(spec: JobSpec, queue: str) -> dict[str, Any]:
    """Return the list of a queue's doorbells and the pieces of one for a job."""
    if not queue:
        return {"list": "", "pieces": []}
    step = doorbell.transport_priority(spec.priority)
    pieces = doorbell.pieces(queue, step, spec.label)
    return {"list": doorbell.list_key(queue, step), "pieces": pieces}
