"""A lab of null boards: real Redis, real Celery workers in real processes, an imaginary chip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import pytest

from edgeprof.client.job import Job
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.queue import doorbell
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, JobState, Target
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.metrics.telemetry import FD_VARIABLE, Receiver
from tests.queue.embedded_redis import Embedded

#: A worker process whose board is imaginary; a board's configuration follows.
NULL_WORKER = (sys.executable, "-m", "edgeprof.workers.testing")
MODEL = ModelRef(
    name="nothing",
    sha256="0" * 64,
    size_bytes=1,
    quantization="F32",
    n_params=1,
    n_ctx_train=4096,
    n_vocab=16,
)
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def make_spec(n_gen: int = 1, *, board: str | None = None, **fields: Any) -> JobSpec:
    target = Target(device_id=board) if board else Target(platform="null")
    case = TestCase(prompt_tokens=(1, 2, 3), n_gen=n_gen)
    return JobSpec(model=MODEL, target=target, cases=(case,), n_ctx=4096, **fields)


class Rig:
    """Starts and stops the parts of a lab; whatever still runs at the end of a test is killed."""

    def __init__(self, settings: Settings, wait_until: Callable[..., None]) -> None:
        self.settings = settings
        self.wait_until = wait_until
        self.store = LabStore.open(settings)
        #: The last started worker of each board.
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._schedulers: list[tuple[threading.Thread, threading.Event]] = []

    def start_worker(
        self,
        uid: str,
        query: str = "",
        before: Sequence[str] = (),
        output: Any = None,
        receiver: Receiver | None = None,
        **settings: Any,
    ) -> subprocess.Popen[bytes]:
        """`before`: what the command is to run under; `output`: a file for what it writes;
        `receiver`: gets its metrics."""
        fds = [] if receiver is None else [receiver.worker_fd]
        telemetry = {} if receiver is None else {FD_VARIABLE: str(receiver.worker_fd)}
        changed = self.settings.model_copy(update=settings)
        process = subprocess.Popen(
            [
                *before,
                *NULL_WORKER,
                json.dumps({"url": f"null://?uid={uid}{query}"}),
            ],
            env={**os.environ, **changed.as_environment(), **telemetry},
            pass_fds=fds,
            stdout=output,
            stderr=output,
        )
        self.workers[f"null-{uid}"] = process
        self._processes.append(process)
        return process

    def start_workers(self, *uids: str) -> None:
        for uid in uids:
            self.start_worker(uid)
        for uid in uids:
            self.until_board(f"null-{uid}", BoardState.ONLINE)

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """See that a process ends with the test."""
        self._processes.append(process)

    def start_scheduler(self) -> Callable[[], None]:
        stop = threading.Event()
        thread = threading.Thread(target=run_scheduler, args=(self.settings, None, stop))
        thread.start()
        self._schedulers.append((thread, stop))

        def end() -> None:
            stop.set()
            thread.join()

        return end

    def submit(self, spec: JobSpec, *, notify: bool = True) -> Job:
        job = NewJob(spec, TRACEPARENT)
        self.store.jobs.submit([job], "test")
        if notify:
            self.notify(job.id, spec)
        return Job(job.id, self.store, self.settings.store_patience_s)

    def notify(self, job_id: str, spec: JobSpec) -> None:
        step = doorbell.transport_priority(spec.priority)
        self.store.doorbells.notify(
            [Doorbell(job_id, spec.target.queue, TRACEPARENT, spec.label)], step=step
        )

    def until_running(self, job: Job) -> str:
        """Wait until the job runs; returns the board it runs on."""
        self.wait_until(lambda: job.status is JobState.RUNNING, f"{job} runs")
        return job.view().attempts[-1].device_id

    def until_board(self, device_id: str, state: BoardState) -> None:
        self.wait_until(
            lambda: {b.device_id: b.state for b in self.store.boards.all()}.get(device_id) is state,
            f"{device_id} is {state}",
        )

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        for thread, stop in self._schedulers:
            stop.set()
            thread.join()
        self.store.close()


@pytest.fixture
def rig(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Rig]:
    made = Rig(settings, wait_until)
    yield made
    made.close()


@pytest.fixture
def embedded(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Embedded]:
    """Settings without a URL; whatever they start is killed."""
    made = Embedded(settings.model_copy(update={"redis_url": None}), wait_until)
    yield made
    if made.folder.exists():
        redis_server.stop(made.settings, force=True)


@pytest.fixture(name="make_spec", scope="session")
def make_spec_fixture() -> Callable[..., JobSpec]:
    return make_spec


@pytest.fixture
def result() -> Any:
    """A result for stores, which do not look inside."""
    return cast(Any, JobResult).model_construct(cases=())
