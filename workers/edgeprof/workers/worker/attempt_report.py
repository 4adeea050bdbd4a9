"""Reports the begin and the end of an attempt: log lines, metrics, Celery's task events.

Log lines and metrics call an attempt a profiling session: those are the customer's names.
"""

from __future__ import annotations

import time

from edgeprof.shared.errors import Fault
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.telemetry.logs import hardware, operations
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.meter import mean_power_mw
from edgeprof.workers.metrics.models import load_seconds
from edgeprof.workers.metrics.sessions import test_type
from edgeprof.workers.metrics.telemetry import Ended, Loaded, Measured, Reading, Sender, Started
from edgeprof.workers.worker.task_events import TaskEvents


class AttemptReport:
    """The reports of one attempt, in order: started(), ended(), then measured() if it succeeded."""

    def __init__(
        self, claim: Claim, board: BoardInfo, telemetry: Sender, events: TaskEvents
    ) -> None:
        self._claim = claim
        self._telemetry = telemetry
        self._events = events
        self._trace_id = trace_id_of(claim.traceparent)
        self._started_s = time.monotonic()
        self._duration_s = 0.0
        self._fields: dict[str, object] = {
            "session_id": claim.job_id,
            "job_id": claim.job_id,
            "model_name": claim.spec.model.name,
            "device_id": board.device_id,
            "platform": board.platform,
            "attempt": claim.attempt,
            "epoch": claim.epoch,
        }

    def started(self) -> None:
        """Report that the attempt begins."""
        claim = self._claim
        # Nobody knows how long it will take, so the log gets the longest that it may, in seconds.
        longest = {"test_duration": claim.spec.timeout_s}
        operations.info("Profiling session started", extra=self._fields | longest)
        self._events.started(claim)
        self._telemetry.send(
            Started(model=claim.spec.model, wait_s=claim.wait_s, trace_id=self._trace_id)
        )

    def ended(self, outcome: JobResult | Fault, state: JobState | None) -> None:
        """Report how the attempt ended. `state` is the job's; None: the store refused the end."""
        fault = outcome if isinstance(outcome, Fault) else None
        self._duration_s = time.monotonic() - self._started_s
        self._events.ended(self._claim, state, fault, self._duration_s)
        self._log_end(fault, state)
        # A cancelled job has not failed.
        failed = None if state is JobState.CANCELLED else fault
        self._telemetry.send(
            Ended(
                test_type=test_type(self._claim.spec),
                duration_s=self._duration_s,
                reason=None if failed is None else failed.fault_class,
                trace_id=self._trace_id,
            )
        )

    def measured(self, result: JobResult) -> None:
        """Send what was measured to the host's metrics."""
        self._telemetry.send(
            Loaded(
                model=result.model,
                memory=result.memory,
                how=result.load.how,
                load_s=load_seconds(result),
                trace_id=self._trace_id,
            )
        )
        for case in result.cases:
            self._telemetry.send(
                Measured(
                    model=result.model,
                    case=case.model_copy(update={"tokens": (), "text": None}),
                    energy_per_token_mj=result.energy_per_token_mj,
                    trace_id=self._trace_id,
                )
            )
        cpu = result.cases[-1].cpu_utilization
        self._telemetry.send(
            Reading(
                regions=result.regions,
                temperature_celsius=result.temperature_celsius,
                temperature_emulated=result.temperature_emulated,
                cpu_utilization=None if cpu is None else cpu.mean,
                power_mw=mean_power_mw(result),
            )
        )

    def _log_end(self, fault: Fault | None, state: JobState | None) -> None:
        duration_s = round(self._duration_s, 3)
        fields = self._fields | {"duration_s": duration_s, "outcome": str(state or "refused")}
        if fault is None:
            operations.info("Profiling session finished", extra=fields)
            return
        if state is JobState.CANCELLED:
            operations.info("Profiling session cancelled", extra=fields)
            return
        fields |= {"fault_class": fault.fault_class, "code": fault.code}
        operations.warning("Profiling session failed: %s", fault, extra=fields)
        if fault.requested_bytes is not None:
            sizes = {
                "requested_bytes": fault.requested_bytes,
                "available_bytes": fault.available_bytes,
            }
            hardware.error("Memory allocation failed", extra=fields | sizes)
