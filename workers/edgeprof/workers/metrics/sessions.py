"""What the jobs of a host did: `profiling_*` and `worker_*` of the agent's `:8000/metrics`.

A *session* is the customer's word for an attempt at a job; it lives on in the names of metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.telemetry.build import build_info
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.model import ModelRef
from edgeprof.workers.metrics.labels import JOB_BUCKETS_S, exemplar
from edgeprof.workers.metrics.models import BITS, ModelMetrics

_WAIT_BUCKETS_S: Final = (*JOB_BUCKETS_S[3:], 5400, 7200, 10800, 14400, 28800, 57600, 86400)

#: Why a worker dropped a message or a queue's key: it is too large or malformed for a doorbell, no
#: list, a remote command that is not obeyed, or one of too many.
Refusal = Literal["large", "malformed", "key", "command", "too many"]


class SessionMetrics:
    """Counts attempts, their faults and times, and what workers dropped."""

    def __init__(
        self, registry: CollectorRegistry, low_throughput_of: Callable[[str], float]
    ) -> None:
        """Declare the metrics. This is long because it is a list, one statement a metric."""
        self._low_throughput_of = low_throughput_of
        self.profiling_sessions_total = Counter(
            "profiling_sessions_total",
            "Total number of profiling sessions",
            ["platform", "model_type", "quantization"],
            registry=registry,
        )
        self.profiling_sessions_active = Gauge(
            "profiling_sessions_active",
            "Profiling sessions running now",
            ["platform", "device_id"],
            registry=registry,
        )
        self.profiling_errors_total = Counter(
            "profiling_errors_total",
            "Attempts that failed, by whose fault it was (board, link, host, model, job)",
            ["platform", "device_id", "reason"],
            registry=registry,
        )
        self.profiling_duration_seconds = Histogram(
            "profiling_duration_seconds",
            "Time spent profiling models",
            ["platform", "test_type"],
            buckets=JOB_BUCKETS_S,
            registry=registry,
        )
        self.profiling_queue_wait_seconds = Histogram(
            "profiling_queue_wait_seconds",
            "Time a job waited in its queue before this attempt",
            ["platform"],
            buckets=_WAIT_BUCKETS_S,
            registry=registry,
        )
        self.profiling_last_completion = Gauge(
            "profiling_last_completion_timestamp_seconds",
            "When a session last ended on a board, Unix time",
            ["platform", "device_id"],
            registry=registry,
        )
        self.profiling_low_throughput = Gauge(
            "profiling_low_throughput_tokens_per_second",
            "Decode speed below which LowThroughput fires (EDGEPROF_LOW_THROUGHPUT)",
            ["platform"],
            registry=registry,
        )
        self.worker_messages_dropped_total = Counter(
            "worker_messages_dropped_total",
            "Messages on a board's queues, and remote commands, that no part of edgeprof writes",
            ["platform", "device_id", "reason"],
            registry=registry,
        )
        self.models = ModelMetrics(registry)
        build_info(registry, "agent")

    def board_known(self, device_id: str, platform: str) -> None:
        """Create a board's series before its first event: a counter born at 1 shows no increase."""
        for reason in FaultClass:
            self.profiling_errors_total.labels(platform, device_id, reason)
        for why in get_args(Refusal):
            self.worker_messages_dropped_total.labels(platform, device_id, why)
        for kind in TEST_TYPES:
            self.profiling_duration_seconds.labels(platform, kind)
        self.profiling_queue_wait_seconds.labels(platform)
        self.profiling_sessions_active.labels(platform, device_id).set(0)
        for quantization in BITS:
            self.profiling_sessions_total.labels(platform, "llama", quantization)
        self.models.board_known(platform)
        self.profiling_low_throughput.labels(platform).set(self._low_throughput_of(platform))

    def started(
        self, device_id: str, platform: str, spec_model: ModelRef, wait_s: float, trace_id: str
    ) -> None:
        """Count an attempt, and note that the board has one."""
        self.profiling_sessions_total.labels(
            platform, spec_model.architecture, spec_model.quantization
        ).inc()
        self.profiling_sessions_active.labels(platform, device_id).set(1)
        self.profiling_queue_wait_seconds.labels(platform).observe(wait_s, exemplar(trace_id))

    def refused(self, device_id: str, platform: str, counts: Mapping[Refusal, int]) -> None:
        """Count messages that were dropped."""
        for why, count in counts.items():
            self.worker_messages_dropped_total.labels(platform, device_id, why).inc(count)

    def idle(self, device_id: str, platform: str) -> None:
        """Note that the board has no attempt, however the last one ended."""
        self.profiling_sessions_active.labels(platform, device_id).set(0)

    def ended(
        self,
        device_id: str,
        platform: str,
        *,
        test_type: str,
        duration_s: float,
        reason: FaultClass | None,
        trace_id: str,
    ) -> None:
        """Count the end of an attempt; `duration_s` is host time."""
        self.idle(device_id, platform)
        self.profiling_duration_seconds.labels(platform, test_type).observe(
            duration_s, exemplar(trace_id)
        )
        self.profiling_last_completion.labels(platform, device_id).set(time.time())
        if reason is not None:
            self.profiling_errors_total.labels(platform, device_id, reason).inc()


#: What a job does: it only generates, or it also scores.
TEST_TYPES: Final = ("generate", "score")


def test_type(spec: JobSpec) -> str:
    """Return the test_type label of a job."""
    return "score" if spec.score else "generate"
