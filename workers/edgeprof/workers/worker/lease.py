"""The lease of a claimed job: renewed by a thread of its own, and the reasons to stop early.

The local deadline is taken *before* a renewal is sent. So this side gives up no later than the
store does, whatever the network did in between. While no store could grant the job to anybody
(Redis is down, loading, or cannot write), the measurement goes on: the custodian gives everybody a
lease's time when Redis is back, and until then the outbox keeps the result.

Nothing here helps against a process that is stopped itself (SIGSTOP, a swapped-out host). For that
the store fences the result, and the board knows the epoch.
"""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from enum import StrEnum
from types import TracebackType
from typing import Self

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.store.job_values import Claim, Renewal
from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.vital_threads import vital_thread

log = logging.getLogger(__name__)

#: How often progress is sent to watchers.
_PROGRESS_INTERVAL_S = 0.25


class Stop(StrEnum):
    """Why a running job must end early."""

    CANCELLED = "cancelled"
    TIMEOUT = "timeout"
    LEASE_LOST = "lease_lost"
    WORKER_STOPPING = "worker_stopping"


class Lease:
    """One attempt's lease, from claim to finish. Use as a context manager."""

    def __init__(
        self,
        jobs: JobStore,
        claim: Claim,
        *,
        claimed_at_s: float,
        lease_s: float,
        heartbeat_s: float,
        stopping: threading.Event,
    ) -> None:
        """`claimed_at_s` is monotonic time taken before the claim was sent."""
        self._jobs = jobs
        self._claim = claim
        self._lease_s = lease_s
        self._heartbeat_s = heartbeat_s
        self._worker_stopping = stopping
        self._deadline_s = claimed_at_s + lease_s
        self._timeout_at_s = claimed_at_s + claim.spec.timeout_s
        self._verdict: Stop | None = None
        self._latest_progress: dict[str, str | float] | None = None
        self._done = threading.Event()
        self._trouble = Troubles(log)
        self._context = contextvars.Context()
        self._thread = vital_thread(self._work, "lease", self._done.is_set)

    def __enter__(self) -> Self:
        self._context = contextvars.copy_context()
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def stop(self) -> Stop | None:
        """Return why to stop, or None to go on. Cheap: it is asked between tokens."""
        if self._verdict is not None:
            return self._verdict
        now = time.monotonic()
        if now > self._deadline_s:
            return Stop.LEASE_LOST
        if now > self._timeout_at_s:
            return Stop.TIMEOUT
        if self._worker_stopping.is_set():
            return Stop.WORKER_STOPPING
        return None

    def should_stop(self) -> bool:
        """Whether to stop, as profiling and the board ask."""
        return self.stop() is not None

    def progress(self, **fields: str | float) -> None:
        """Note how far the job is. The lease's thread sends the latest to watchers."""
        self._latest_progress = fields

    def _work(self) -> None:
        """Keep the lease in the context of the attempt: log lines name the job and its trace."""
        self._context.run(self._keep)

    def _keep(self) -> None:
        renew_at_s = time.monotonic() + self._heartbeat_s
        while not self._done.wait(_PROGRESS_INTERVAL_S):
            tried_s = time.monotonic()
            try:
                latest, self._latest_progress = self._latest_progress, None
                if latest is not None:
                    self._jobs.progress(self._claim.job_id, self._claim.epoch, **latest)
                if time.monotonic() >= renew_at_s:
                    renew_at_s = time.monotonic() + self._heartbeat_s
                    self._renew()
                self._trouble.well("store", f"job {self._claim.job_id}: Redis is back")
            except InfrastructureError as error:
                # The deadline decides whether this matters; a short outage does not.
                self._trouble.say("store", f"job {self._claim.job_id}: {error}")
                if error.proves_store_down:
                    self._deadline_s = tried_s + self._lease_s

    def _renew(self) -> None:
        sent_s = time.monotonic()
        answer = self._jobs.renew(self._claim.job_id, self._claim.epoch, self._lease_s)
        if answer is Renewal.STALE:
            self._verdict = Stop.LEASE_LOST
        else:
            self._deadline_s = sent_s + self._lease_s
            if answer is Renewal.CANCEL:
                self._verdict = Stop.CANCELLED
