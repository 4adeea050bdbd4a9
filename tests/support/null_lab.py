"""A lab of null boards: real Redis, real Celery workers in real processes, an imaginary chip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from edgeprof.client.job import Job
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.queue import doorbell
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.metrics.telemetry import FD_VARIABLE, Receiver
from tests.support.jobs import TRACEPARENT

#: A worker process whose board is imaginary; a board's configuration follows.
NULL_WORKER = (sys.executable, "-m", "edgeprof.workers.testing")


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
        tags: Sequence[str] = (),
        **settings: Any,
    ) -> subprocess.Popen[bytes]:
        """`before`: what the command is to run under; `output`: a file for what it writes;
        `receiver`: gets its metrics; `tags`: of the board, as boards.toml has them."""
        fds = [] if receiver is None else [receiver.worker_fd]
        telemetry = {} if receiver is None else {FD_VARIABLE: str(receiver.worker_fd)}
        changed = self.settings.model_copy(update=settings)
        process = subprocess.Popen(
            [
                *before,
                *NULL_WORKER,
                json.dumps({"url": f"null://?uid={uid}{query}", "tags": list(tags)}),
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
