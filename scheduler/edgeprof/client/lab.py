"""The Python API: a lab of boards, to submit jobs to.

from edgeprof.client import Lab

lab = Lab()
job = lab.submit("shakespeare-240k", platform="stm32f405", quantization="Q8_0")
print(job.wait(progress=True).result)
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Self, Unpack

from edgeprof.client.job import Job
from edgeprof.client.request import JobOptions, Request
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.queue import doorbell
from edgeprof.shared.redis.client import PERSON_ANSWER_S
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import Cancelled, JobFilter, JobSearch
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgeprof.client.planning import Planned
    from edgeprof.client.preparation import Batch, Preparer
    from edgeprof.shared.models import ModelFile

log = logging.getLogger(__name__)

_ANY: Final = JobFilter()


class Lab:
    """A connection to one lab. Cheap to make; may be shared by threads; close it or use `with`."""

    def __init__(self, redis_url: str | None = None, settings: Settings | None = None) -> None:
        settings = settings or load_settings()
        if redis_url is not None:
            settings = settings.model_copy(update={"redis_url": redis_url})
        self.settings = settings
        self.store = LabStore.open(settings, PERSON_ANSWER_S)
        tracing.configure("edgeprof-client", f"{settings.host}:{os.getpid()}", settings.host)

    @cached_property
    def _preparer(self) -> Preparer:
        from edgeprof.client.preparation import Preparer  # noqa: PLC0415 - as in plan()

        return Preparer(self.settings.cache_dir)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; jobs go on."""
        self.store.close()

    def submit(self, model: str | Path, **options: Unpack[JobOptions]) -> Job:
        """Queue one job; JobOptions explains each option. When it returns, the job is safe.

        Raises UsageError for a wrong call, ModelError for a model that is malformed or does not
        fit, JobError for a prompt that the model cannot take, StoreUnavailable and StoreRefused.
        """
        return self.submit_many([Request(model=model, **options)])[0]

    def submit_many(self, requests: Sequence[Request]) -> list[Job]:
        """Queue many jobs in few round trips. All are checked before any is queued."""
        boards = self.boards()
        batch: Batch = {}
        return self.submit_planned([self.plan(request, boards, batch) for request in requests])

    def plan(
        self,
        request: Request,
        boards: Sequence[BoardInfo] | None = None,
        batch: Batch | None = None,
    ) -> Planned:
        """Check a request and make its job, without queueing it. Raises as submit does.

        batch: pass the same dict, empty at first, to many calls. Each model file is read once.
        """
        from edgeprof.client import planning  # noqa: PLC0415 - `edgeprof jobs` needs no numpy

        known = self.boards() if boards is None else boards
        return planning.plan(request, known, self._preparer, batch)

    def submit_planned(self, planned: Sequence[Planned]) -> list[Job]:
        """Queue jobs made by plan(): files first, then records, then doorbells.

        A doorbell that cannot be sent is no error: the jobs are in the store by then, and the
        custodian sends their doorbells later.
        """
        self._upload(planned)
        return self._enqueue([plan.spec for plan in planned])

    def _enqueue(self, specs: Sequence[JobSpec]) -> list[Job]:
        jobs = []
        for spec in specs:
            job = NewJob(spec)
            jobs.append(NewJob(spec, tracing.submit_traceparent(job.id, spec), job.id))
        self.store.jobs.submit(jobs, actor=f"client:{os.getpid()}")
        self._notify(jobs)
        return [self._handle(job.id) for job in jobs]

    def job(self, job_id: str) -> Job:
        """Return a handle of a job in the store, or raise JobNotFound."""
        self.store.jobs.state(job_id)
        return self._handle(job_id)

    def retry(self, job_id: str) -> Job:
        """Queue an ended job again, as a new job. The record of the old job never changes.

        Raises JobNotFound, and UsageError when it still runs or its model has left the store.
        """
        spec, state = self.store.jobs.spec(job_id), self.store.jobs.state(job_id)
        if not state.terminal:
            raise UsageError(f"job {job_id} is {state}", hint=f"edgeprof watch {job_id}")
        if not self.store.blobs.keep(spec.model.sha256, self._keep_s(spec)):
            raise UsageError(
                f"the file of model {spec.model.name} is not in the store any more",
                hint="submit it again: edgeprof submit -m …",
            )
        again = spec.model_copy(
            update={"tags": {**spec.tags, "retry-of": job_id}, "sweep_id": None}
        )
        return self._enqueue([again])[0]

    def dead_letters(self, limit: int = 50, where: JobFilter = _ANY) -> list[JobView]:
        """Return the newest matching jobs that failed their last attempt, newest first."""
        return self._views("dead", limit, where)

    def jobs(
        self,
        state: JobState | str | None = None,
        limit: int = 50,
        offset: int = 0,
        where: JobFilter = _ANY,
    ) -> list[JobView]:
        """Return the newest `limit` jobs that match, newest first, after leaving out `offset`."""
        index = "jobs" if state is None else f"jobs:{JobState(state)}"
        return self._views(index, limit + offset, where)[offset:]

    def count_open(self, where: JobFilter = _ANY) -> int:
        """Return how many jobs that match are queued or running."""
        return JobSearch(self.store.script).count_open(where)

    def cancel_open(
        self,
        where: JobFilter = _ANY,
        reason: str = "cancelled by the user",
        *,
        actor: str = "client",
    ) -> Cancelled:
        """Cancel all matching jobs that have not ended. Running ones stop within about a second."""
        return JobSearch(self.store.script).cancel_open(where, actor, reason)

    def _views(self, index: str, limit: int, where: JobFilter) -> list[JobView]:
        return self.store.jobs.views(JobSearch(self.store.script).newest(index, where, limit))

    def boards(self) -> list[BoardInfo]:
        """Return every board that was announced, the offline ones too."""
        return self.store.boards.all()

    def models(self) -> list[ModelFile]:
        """Return the models that can be named without a path."""
        from edgeprof.shared.models import catalogue  # noqa: PLC0415 - as in plan()

        return catalogue.list_models()

    def _handle(self, job_id: str) -> Job:
        return Job(job_id, self.store, self.settings.store_patience_s)

    def _upload(self, planned: Sequence[Planned]) -> None:
        """Upload each model file once. It stays until the last of its jobs must have ended."""
        keep_s: dict[str, float] = {}
        models: dict[str, ModelFile] = {}
        for plan in planned:
            spec, sha256 = plan.spec, plan.model.sha256
            models[sha256] = plan.model
            keep_s[sha256] = max(keep_s.get(sha256, 0.0), self._keep_s(spec))
        for sha256, model in models.items():
            self.store.blobs.put(model.name, model.data, sha256, keep_s[sha256])

    def _keep_s(self, spec: JobSpec) -> float:
        """Return how long a job may need its model: all its attempts, and a reserve."""
        longest_s = spec.queue_timeout_s + spec.max_attempts * spec.timeout_s
        return longest_s + self.settings.blob_ttl_s

    def _notify(self, jobs: Sequence[NewJob]) -> None:
        by_step: dict[int, list[Doorbell]] = {}
        for job in jobs:
            step = doorbell.transport_priority(job.spec.priority)
            message = Doorbell(job.id, job.spec.target.queue, job.traceparent, job.spec.label)
            by_step.setdefault(step, []).append(message)
        try:
            for step, doorbells in by_step.items():
                self.store.doorbells.notify(doorbells, step=step)
        except InfrastructureError as error:
            log.warning("queued, but the doorbells were not sent (the custodian will): %s", error)
