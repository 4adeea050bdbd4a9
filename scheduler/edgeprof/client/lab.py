"""The Python API: a lab of boards, to submit jobs to.

from edgeprof.client import Lab

lab = Lab()
job = lab.submit("shakespeare-240k", platform="stm32f405", quantization="Q8_0")
print(job.wait(progress=True).result)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Final, Self, Unpack

from edgeprof.client import routing
from edgeprof.client.job import Job
from edgeprof.client.request import JobOptions, Request
from edgeprof.shared.errors import StoreRefused, UsageError
from edgeprof.shared.identity import user_name
from edgeprof.shared.redis.client import PERSON_ANSWER_S
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.job_values import NewJob, new_job_ids
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import Cancelled, JobFilter, JobSearch
from edgeprof.shared.store.submission import NeededBlob
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import Expected, JobSpec, JobState
from edgeprof.shared.types.result import JobView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edgeprof.client.foresight import Foresight
    from edgeprof.client.planning import Planned
    from edgeprof.client.preparation import Batch, Preparer
    from edgeprof.client.results import ResultFilter, Results
    from edgeprof.client.schedules import Schedules
    from edgeprof.shared.models import ModelFile

_ANY: Final = JobFilter()

#: So many ended jobs tell how long new ones will take.
_HISTORY: Final = 200

#: How often a model file is uploaded that is gone again when its jobs are written.
_UPLOADS: Final = 3


class Lab:
    """A connection to one lab. Cheap to make; may be shared by threads; close it or use `with`."""

    def __init__(
        self,
        redis_url: str | None = None,
        settings: Settings | None = None,
        *,
        hurried: bool = False,
    ) -> None:
        """`hurried`: a person waits, so a Redis that stalls is reported after two seconds."""
        settings = settings or load_settings()
        if redis_url is not None:
            settings = settings.model_copy(update={"redis_url": redis_url})
        self.settings = settings
        self.store = LabStore.open(settings, PERSON_ANSWER_S, hurried=hurried)
        tracing.configure("edgeprof-client", f"{settings.host}:{os.getpid()}", settings.host)

    @cached_property
    def _preparer(self) -> Preparer:
        from edgeprof.client.preparation import Preparer  # noqa: PLC0415 - as in plan()

        return Preparer(self.settings.cache_dir)

    @cached_property
    def _foresight(self) -> Foresight:
        from edgeprof.client.foresight import Foresight  # noqa: PLC0415 - as in plan()

        return Foresight(lambda: self.jobs(JobState.SUCCEEDED, _HISTORY))

    @cached_property
    def schedules(self) -> Schedules:
        """The recurring sweeps of this lab."""
        from edgeprof.client.schedules import Schedules  # noqa: PLC0415 - as in plan()

        return Schedules(self)

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
        planned: dict[int, Planned] = {}  # the same request many times is planned once
        for request in requests:
            if id(request) not in planned:
                planned[id(request)] = self.plan(request, boards, batch)
        return self.submit_planned([planned[id(request)] for request in requests])

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

    def submit_planned(
        self, planned: Sequence[Planned], ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Queue jobs made by plan(): files first, then records, then doorbells.

        ids: of jobs that are queued once, however often this is called; else each is a new job.
        A doorbell that cannot be sent is no error: the jobs are in the store by then, and the
        custodian sends their doorbells later.
        """
        specs, expected = [plan.spec for plan in planned], self._foresight.of(planned)
        return self._enqueue(specs, self._files_of(planned), expected, ids)

    def _enqueue(
        self,
        specs: Sequence[JobSpec],
        files: Sequence[tuple[NeededBlob, ModelFile]] = (),
        expected: Sequence[Expected | None] = (),
        ids: Sequence[str] | None = None,
    ) -> list[Job]:
        """Queue jobs, whose model files are uploaded where the store lacks them."""
        ids = ids or new_job_ids(len(specs))
        traces = tracing.submit_traceparents(list(zip(ids, specs, strict=True)))
        known = expected or [None] * len(specs)
        boards = self.boards() if any(spec.require for spec in specs) else ()
        told_by = routing.told_by(specs, boards)
        jobs = [NewJob(*job) for job in zip(specs, traces, ids, known, told_by, strict=True)]
        blobs = [blob for blob, _ in files]
        missing = [blob for blob in blobs if not self.store.blobs.compared_of_late(blob.sha256)]
        models = {blob.sha256: model for blob, model in files}
        for _ in range(_UPLOADS):
            for blob in missing:
                model = models[blob.sha256]
                self.store.blobs.put(model.name, model.data, blob.sha256, blob.keep_s)
            actor = f"client:{os.getpid()}"
            missing = self.store.jobs.submit(jobs, actor, notify=True, blobs=blobs)
            if not missing:
                return [self._handle(job.id) for job in jobs]
        raise StoreRefused(
            f"the file of model {models[missing[0].sha256].name} leaves the store as soon as it is"
            " there",
            hint="does Redis throw keys away (maxmemory-policy)?",
        )

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

    def results(self, *selection: str, **where: Unpack[ResultFilter]) -> Results:
        """Return measured jobs of the archive as typed rows, for a loop, pandas or Arrow.

        selection: ids of jobs or sweeps, NAME=VALUE for a tag, 7d.. for a time, and so on (see
        selection.py); without one, all. `where` narrows them. Raises NotFound for a word that names
        nothing, InfrastructureError when the archive cannot be used.
        """
        from edgeprof.client.results import Results  # noqa: PLC0415 - it imports the archive

        return Results.find(self.settings, selection, where)

    def _views(self, index: str, limit: int, where: JobFilter) -> list[JobView]:
        return self.store.jobs.views(JobSearch(self.store.script).newest(index, where, limit))

    def boards(self, tags: Mapping[str, str] | None = None) -> list[BoardInfo]:
        """Return every board that was announced, the offline ones too; only those with all tags."""
        return [board for board in self.store.boards.all() if routing.has_tags(board, tags or {})]

    def reserve(self, board: str, for_s: float, reason: str = "") -> float:
        """Keep other users' jobs from a board; returns until when, in seconds since the epoch.

        A job that runs there goes on. Raises UsageError while another user has it, BoardNotFound.
        """
        return self.store.reservations.reserve(board, user_name(), for_s, reason)

    def release(self, board: str) -> None:
        """End your reservation of a board. Raises UsageError when another user has it."""
        self.store.reservations.release(board, user_name())

    def models(self) -> list[ModelFile]:
        """Return the models that can be named without a path."""
        from edgeprof.shared.models import catalogue  # noqa: PLC0415 - as in plan()

        return catalogue.list_models()

    def _handle(self, job_id: str) -> Job:
        return Job(job_id, self.store, self.settings.store_patience_s)

    def _files_of(self, planned: Sequence[Planned]) -> list[tuple[NeededBlob, ModelFile]]:
        """Return each model file once. It stays until the last of its jobs must have ended."""
        keep_s: dict[str, float] = {}
        models: dict[str, ModelFile] = {}
        for plan in planned:
            sha256 = plan.model.sha256
            models[sha256] = plan.model
            keep_s[sha256] = max(keep_s.get(sha256, 0.0), self._keep_s(plan.spec))
        return [
            (NeededBlob(sha256, len(model.data), int(keep_s[sha256])), model)
            for sha256, model in models.items()
        ]

    def _keep_s(self, spec: JobSpec) -> float:
        """Return how long a job may need its model: all its attempts, and a reserve."""
        longest_s = spec.queue_timeout_s + spec.max_attempts * spec.timeout_s
        return longest_s + self.settings.blob_ttl_s
