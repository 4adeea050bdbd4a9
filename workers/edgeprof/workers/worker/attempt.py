"""One attempt at a job: claim it, carry it out, write how it ended. Nothing escapes.

A Celery task that raises may take its worker with it (docs/decisions/0003-doorbell.md), and a job whose
attempt ends without a word waits for its lease. So every way out of here is a line in the store.
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
from edgeprof.shared.store.jobs import Claim, JobStore, NoClaim
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.telemetry.about import about
from edgeprof.shared.telemetry.logs import hardware, operations
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.shared.types.wire import is_name
from edgeprof.workers.board.board import Cancelled
from edgeprof.workers.board.host_faults import host_faults
from edgeprof.workers.board.meter import mean_power_mw
from edgeprof.workers.metrics.sessions import load_seconds, test_type
from edgeprof.workers.metrics.telemetry import Ended, Loaded, Measured, Reading, Sender, Started
from edgeprof.workers.worker.lease import Lease, Stop
from edgeprof.workers.worker.outbox import Outbox, report
from edgeprof.workers.worker.task_events import TaskEvents

log = logging.getLogger(__name__)

#: Carries a claimed job out: raises Fault or Cancelled, or returns what was measured.
Work = Callable[[Claim, Lease], JobResult]

_RETRY_S = 0.5


class Attempts:
    """Attempts of one board worker, one after the other."""

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
        """on_host_fault is called before a fault of this machine is written, to cordon it if need be."""
        self._jobs = jobs
        self._settings = settings
        self._node = node
        self._domain = lock_domain
        self._stopping = stopping
        self._telemetry = telemetry
        self._outbox = outbox
        self._events = events or TaskEvents(lambda: None)
        self._on_host_fault = on_host_fault

    def claim(self, notified_job_id: str, board: BoardInfo) -> tuple[Claim, Lease] | None:
        """Claim a job after the doorbell of job `notified_job_id`; None when there is nothing (left) to do."""
        if not is_name(notified_job_id):
            log.debug("a doorbell of no job dropped")
            return None
        claimed_at_s = time.monotonic()
        try:
            answer = self._jobs.claim(
                notified_job_id,
                f"{self._node}/{secrets.token_hex(6)}",
                device_id=board.device_id,
                platform=board.platform,
                host=board.host,
                lock_domain=self._domain,
                lease_s=self._settings.lease_s,
                traceparent=tracing.current_traceparent(),
            )
        except InfrastructureError as error:
            # The doorbell is lost; the custodian sends it again once Redis is back.
            log.warning("no job was claimed at the doorbell of job %s: %s", notified_job_id, error)
            return None
        if isinstance(answer, NoClaim):
            # Not a warning: thousands of doorbells may be sent for nothing.
            log.debug("doorbell of job %s dropped: %s", notified_job_id, answer)
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
        """Run the work under the lease and write its end; returns the fault, if it was one."""
        context = {
            "session_id": claim.job_id,
            "job_id": claim.job_id,
            "model_name": claim.spec.model.name,
            "device_id": board.device_id,
            "platform": board.platform,
            "attempt": claim.attempt,
            "epoch": claim.epoch,
        }
        trace_id = trace_id_of(claim.traceparent)
        started_s = time.monotonic()
        with (
            about(
                job_id=claim.job_id,
                device_id=board.device_id,
                platform=board.platform,
                attempt=claim.attempt,
            ),
            ExitStack() as held,
            tracing.attempt_span(claim) as span,
        ):
            # How long it will take nobody knows: the longest that it may, in seconds.
            duration = {"test_duration": claim.spec.timeout_s}
            operations.info("Profiling session started", extra=context | duration)
            self._events.started(claim)
            self._telemetry.send(
                Started(model=claim.spec.model, wait_s=claim.wait_s, trace_id=trace_id)
            )
            outcome = self._guarded(claim, lease, work, held)
            if isinstance(outcome, HostFault) and not outcome.graceful_stop:
                self._on_host_fault()
            state = self._finish(claim, outcome)
            ended_by = outcome if isinstance(outcome, Fault) else None
            span.ended(str(state or "refused"), ended_by)
            duration_s = time.monotonic() - started_s
            self._events.ended(claim, state, ended_by, duration_s)
            context |= {"duration_s": round(duration_s, 3), "outcome": str(state or "refused")}
            fault = self._tell(outcome, state, context)
        self._telemetry.send(
            Ended(
                test_type=test_type(claim.spec),
                duration_s=duration_s,
                reason=None if fault is None else fault.fault_class,
                trace_id=trace_id,
            )
        )
        if isinstance(outcome, JobResult):
            self._publish(outcome, trace_id)
            return None
        return outcome

    def _tell(
        self,
        outcome: JobResult | Fault,
        state: JobState | None,
        context: dict[str, object],
    ) -> Fault | None:
        """Log how the session ended; returns the fault, unless somebody asked for the end."""
        if isinstance(outcome, JobResult):
            operations.info("Profiling session finished", extra=context)
            return None
        if state is JobState.CANCELLED:
            operations.info("Profiling session cancelled", extra=context)
            return None
        context |= {"fault_class": outcome.fault_class, "code": outcome.code}
        operations.warning("Profiling session failed: %s", outcome, extra=context)
        if outcome.requested_bytes is not None:
            hardware.error(
                "Memory allocation failed",
                extra=context
                | {
                    "requested_bytes": outcome.requested_bytes,
                    "available_bytes": outcome.available_bytes,
                },
            )
        return outcome

    def _publish(self, result: JobResult, trace_id: str) -> None:
        model = result.model
        self._telemetry.send(
            Loaded(
                model=model,
                memory=result.memory,
                how=result.load.how,
                load_s=load_seconds(result),
                trace_id=trace_id,
            )
        )
        for case in result.cases:
            slim = case.model_copy(update={"tokens": (), "text": None})
            self._telemetry.send(
                Measured(
                    model=model,
                    case=slim,
                    energy_per_token_mj=result.energy_per_token_mj,
                    trace_id=trace_id,
                )
            )
        last = result.cases[-1].cpu_utilization
        self._telemetry.send(
            Reading(
                regions=result.regions,
                temperature_celsius=result.temperature_celsius,
                temperature_emulated=result.temperature_emulated,
                cpu_utilization=None if last is None else last.mean,
                power_mw=mean_power_mw(result),
            )
        )

    def _guarded(
        self, claim: Claim, lease: Lease, work: Work, held: ExitStack
    ) -> JobResult | Fault:
        """Keep the lease until its end was written, and carry the job out."""
        try:
            with host_faults():
                held.enter_context(lease)
                return _kept(work(claim, lease))
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
        """Write the end, for as long as it takes Redis to be back; None: it was not ours to write.

        A worker that is told to stop meanwhile leaves its result to the next one, in the outbox.
        """
        kept = False
        while True:
            try:
                if isinstance(outcome, JobResult):
                    state = self._jobs.succeed(claim.job_id, claim.epoch, outcome)
                else:
                    state = self._jobs.fail(
                        claim.job_id,
                        claim.epoch,
                        outcome,
                        self._settings.quarantine_after,
                        self._settings.backoff_s(outcome),
                    )
            except InfrastructureError as error:
                if not kept and isinstance(outcome, JobResult):
                    log.warning("job %s: end not written yet: %s", claim.job_id, error)
                    self._outbox.keep(claim.job_id, claim.epoch, outcome)
                    kept = True
                if self._stopping.wait(_RETRY_S):
                    return None
                continue
            if kept:
                self._outbox.drop(claim.job_id, claim.epoch)
            if kept or state is None:
                report(claim.job_id, claim.epoch, state)
            return state


def _kept(result: JobResult) -> JobResult:
    """Return the result, or raise BoardFault for one that could not be read back: NaN, or too large.

    It would end in the store all the same, and be there for ever: no archive could take it.
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
