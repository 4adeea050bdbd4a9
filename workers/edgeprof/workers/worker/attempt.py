"""One attempt at a job: claim it, carry it out, write how it ended. Nothing escapes.

A Celery task that raises may take its worker with it (docs/decisions/0003-doorbell.md), and a job
whose attempt ends without a word waits for its lease. So every way out of here is a line in the
store.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from threading import Event

from edgeprof.shared.errors import BoardFault, Fault, HostFault, InfrastructureError, JobError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.telemetry.context_fields import bound_fields
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.shared.types.wire import is_name
from edgeprof.workers.board.host_faults import host_faults
from edgeprof.workers.board.protocols import Cancelled
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker.attempt_report import AttemptReport
from edgeprof.workers.worker.lease import Lease, Stop
from edgeprof.workers.worker.outbox import Outbox, report
from edgeprof.workers.worker.task_events import TaskEvents

log = logging.getLogger(__name__)

#: Carries out a claimed job: returns what was measured, or raises a Fault or Cancelled.
Work = Callable[[Claim, Lease], JobResult]

#: How long to wait before a job's end is written again, while Redis is away.
_RETRY_S = 0.5


class Attempts:
    """The attempts of one board worker, one after the other."""

    def __init__(
        self,
        jobs: JobStore,
        settings: Settings,
        *,
        node: str,
        lock_domain: str,
        stopping: Event,
        telemetry: Sender,
        outbox: Outbox,
        events: TaskEvents | None = None,
        on_host_fault: Callable[[], None] = lambda: None,
    ) -> None:
        """`stopping` is set when a running job has to be handed back.

        `on_host_fault` is called before a fault of this machine is written, to cordon it if needed.
        """
        self._jobs = jobs
        self._settings = settings
        self._node = node
        self._lock_domain = lock_domain
        self._stopping = stopping
        self._telemetry = telemetry
        self._outbox = outbox
        self._events = events or TaskEvents(lambda: None)
        self._on_host_fault = on_host_fault

    def claim(self, notified_job_id: str, board: BoardInfo) -> tuple[Claim, Lease] | None:
        """Claim the next job of the notified queue; None: none is left.

        The queue is that of the job which the doorbell named.
        """
        if not is_name(notified_job_id):
            log.debug("dropped a doorbell that names no job")
            return None
        claimed_at_s = time.monotonic()
        try:
            answer = self._jobs.claim(
                notified_job_id,
                f"{self._node}/{secrets.token_hex(6)}",
                device_id=board.device_id,
                platform=board.platform,
                host=board.host,
                lock_domain=self._lock_domain,
                lease_s=self._settings.lease_s,
                traceparent=tracing.current_traceparent(),
            )
        except InfrastructureError as error:
            # The doorbell is lost; the custodian sends another once Redis is back.
            log.warning("no job claimed after the doorbell of job %s: %s", notified_job_id, error)
            return None
        if isinstance(answer, str):
            # Only for debugging: thousands of doorbells may lead to nothing.
            log.debug("dropped the doorbell of job %s: %s", notified_job_id, answer)
            return None
        return answer, Lease(
            self._jobs,
            answer,
            claimed_at_s=claimed_at_s,
            lease_s=self._settings.lease_s,
            heartbeat_s=self._settings.heartbeat_s,
            stopping=self._stopping,
        )

    def carry_out(self, claim: Claim, lease: Lease, board: BoardInfo, work: Work) -> Fault | None:
        """Do the work under the lease and write its end; returns the fault, if there was one."""
        fields = {"device_id": board.device_id, "platform": board.platform}
        reported = AttemptReport(claim, board, self._telemetry, self._events)
        with (
            bound_fields(job_id=claim.job_id, attempt=claim.attempt, **fields),
            ExitStack() as leased,
            tracing.attempt_span(claim) as span,
        ):
            reported.started()
            outcome = self._guarded(claim, lease, work, leased)
            if isinstance(outcome, HostFault) and not outcome.graceful_stop:
                self._on_host_fault()
            state = self._finish(claim, outcome)
            span.ended(str(state or "refused"), outcome if isinstance(outcome, Fault) else None)
            reported.ended(outcome, state)
        if isinstance(outcome, JobResult):
            reported.measured(outcome)
            return None
        return outcome

    def _guarded(
        self, claim: Claim, lease: Lease, work: Work, leased: ExitStack
    ) -> JobResult | Fault:
        """Do the work and return its outcome, whatever it raises.

        `leased` keeps the lease beyond this call, until the end is written.
        """
        try:
            with host_faults():
                leased.enter_context(lease)
                return storable(work(claim, lease))
        except Fault as fault:
            return fault
        except Cancelled:
            return _why_stopped(lease.stop(), claim)
        except Exception as error:
            log.exception("job %s: unexpected error", claim.job_id)
            return HostFault(
                f"unexpected {type(error).__name__} in the board worker: {error}", code="internal"
            )

    def _finish(self, claim: Claim, outcome: JobResult | Fault) -> JobState | None:
        """Write the end, however long Redis is away; None: the store refused it.

        A worker that has to stop meanwhile leaves its result in the outbox, for the next one.
        """
        in_outbox = False
        while True:
            try:
                state = self._write_end(claim, outcome)
            except InfrastructureError as error:
                if not in_outbox and isinstance(outcome, JobResult):
                    log.warning("job %s: end not written yet: %s", claim.job_id, error)
                    self._outbox.keep(claim.job_id, claim.epoch, outcome)
                    in_outbox = True
                if self._stopping.wait(_RETRY_S):
                    return None
                continue
            if in_outbox:
                self._outbox.drop(claim.job_id, claim.epoch)
            if in_outbox or state is None:
                report(claim.job_id, claim.epoch, state)
            return state

    def _write_end(self, claim: Claim, outcome: JobResult | Fault) -> JobState | None:
        if isinstance(outcome, JobResult):
            return self._jobs.succeed(claim.job_id, claim.epoch, outcome)
        return self._jobs.fail(
            claim.job_id,
            claim.epoch,
            outcome,
            self._settings.quarantine_after,
            self._settings.backoff_s(outcome),
        )


def storable(result: JobResult) -> JobResult:
    """Return the result. Raises BoardFault for one that cannot be read back: NaN, or too large.

    The store would take such a result, and no archive could: it would stay there for ever.
    """
    try:
        JobResult.read(result.model_dump_json())
    except ValueError as error:
        raise BoardFault(
            f"what was measured makes no result: {one_line(str(error), 300)}", code="bad_result"
        ) from None
    return result


def _why_stopped(stop: Stop | None, claim: Claim) -> Fault:
    if stop is Stop.TIMEOUT:
        return JobError(
            f"the job took longer than its timeout of {claim.spec.timeout_s:g} s",
            code="timeout",
            hint="raise the timeout, or ask for fewer tokens or repetitions",
        )
    if stop is Stop.LEASE_LOST:
        return HostFault("the lease ran out: Redis was not reached in time", code="lease_lost")
    if stop is Stop.WORKER_STOPPING:
        return HostFault("the board worker was stopped", code="worker_stopped")
    return HostFault("stopped on request", code="cancelled")
