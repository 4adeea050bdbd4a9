"""What a host's sessions and models did: `:8000/metrics` of the host agent."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.telemetry.build import build_info
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import CaseResult, JobResult, MemoryUse

#: From 0.1 ms (a token on a fast core) to five minutes (a long prompt on a slow chip). A quantile is drawn
#: somewhere between two edges, so it is wrong by their distance at most: a factor of 1.6.
_LATENCY_BUCKETS_S: Final = (
    *(float(f"{digits}e{power}") for power in range(-4, 2) for digits in (1, 1.5, 2, 3, 4.5, 6.5)),
    *(100.0, 150.0, 200.0, 300.0),
)
#: Of what takes a job as a whole; its edges hold those of the customer's document. An hour: a model of tens of
#: megabytes, flashed over a slow link.
_JOB_BUCKETS_S: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 45),
    *(60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600),
)
_WAIT_BUCKETS_S: Final = (*_JOB_BUCKETS_S[3:], 5400, 7200, 10800, 14400, 28800, 57600, 86400)

#: Why a worker dropped a message, or a key under the name of a queue: too large or malformed for a
#: doorbell, not a list, a remote command that is not obeyed here, or too many of them.
Refusal = Literal["large", "malformed", "key", "command", "too many"]


class SessionMetrics:
    """Counts sessions and keeps the last measurement of each model on each platform."""

    def __init__(
        self, registry: CollectorRegistry, low_throughput_of: Callable[[str], float]
    ) -> None:
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
            buckets=_JOB_BUCKETS_S,
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
        by_model = ["model_name", "platform", "quantization"]
        self.model_tokens_per_second = Gauge(
            "model_tokens_per_second",
            "Model inference speed: decode tokens/s of the last run",
            by_model,
            registry=registry,
        )
        self.model_prefill_tokens_per_second = Gauge(
            "model_prefill_tokens_per_second",
            "Prefill tokens/s of the last run",
            by_model,
            registry=registry,
        )
        self.model_last_run = Gauge(
            "model_last_run_timestamp_seconds",
            "When a model was last measured, Unix time",
            by_model,
            registry=registry,
        )
        self.model_last_ttft = Gauge(
            "model_last_time_to_first_token_seconds",
            "Time to first token of the last run, by the board's clock",
            by_model,
            registry=registry,
        )
        self.model_energy_per_token = Gauge(
            "model_energy_per_token_joules",
            "Energy per generated token of the last run; absent without a power meter",
            by_model,
            registry=registry,
        )
        # Of the customer's labels none is the type, so of two types the last run is shown; ours tell them apart.
        by_memory = ["model_name", "platform", "memory_type"]
        self.model_memory_usage_kb = Gauge(
            "model_memory_usage_kb",
            "Model memory consumption, last run of any type",
            by_memory,
            registry=registry,
        )
        self.model_memory_usage_bytes = Gauge(
            "model_memory_usage_bytes",
            "Model memory consumption of the last run of each type",
            [*by_memory, "quantization"],
            registry=registry,
        )
        by_length = ["model_name", "platform", "input_length"]
        self.model_latency_p95_ms = Gauge(
            "model_latency_p95_ms",
            "95th percentile inference latency: between two tokens, last run of any type",
            by_length,
            registry=registry,
        )
        self.model_latency_p95_seconds = Gauge(
            "model_latency_p95_seconds",
            "95th percentile inference latency: between two tokens, last run of each type",
            [*by_length, "quantization"],
            registry=registry,
        )
        self.model_accuracy_score = Gauge(
            "model_accuracy_score",
            "Model accuracy on test dataset: share of positions whose top-1 token is the right one; last"
            " run of any type",
            ["model_name", "dataset", "platform"],
            registry=registry,
        )
        self.model_accuracy_ratio = Gauge(
            "model_accuracy_ratio",
            "The same, of the last run of each type",
            ["model_name", "dataset", "platform", "quantization"],
            registry=registry,
        )
        self.quantization_error_rate = Gauge(
            "quantization_error_rate",
            "Error rate introduced by quantization: share of positions whose top-1 token is not"
            " that of the unquantized model",
            ["model_name", "quantization_bits", "method"],
            registry=registry,
        )
        self.model_time_to_first_token_seconds = Histogram(
            "model_time_to_first_token_seconds",
            "Start of prefill to first token, by the board's clock; each repetition",
            ["platform", "quantization"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.model_inter_token_latency_seconds = Histogram(
            "model_inter_token_latency_seconds",
            "Time between two tokens by the board's clock; each position, median of repetitions",
            ["platform", "quantization"],
            buckets=_LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.model_load_seconds = Histogram(
            "model_load_seconds",
            "Time to get a model onto a board, transfer and check",
            ["platform", "how"],
            buckets=_JOB_BUCKETS_S,
            registry=registry,
        )
        build_info(registry, "agent")

    def board_known(self, device_id: str, platform: str) -> None:
        """Create what must exist before the first event: a counter born at 1 shows no increase."""
        for reason in FaultClass:
            self.profiling_errors_total.labels(platform, device_id, reason)
        for why in get_args(Refusal):
            self.worker_messages_dropped_total.labels(platform, device_id, why)
        for kind in TEST_TYPES:
            self.profiling_duration_seconds.labels(platform, kind)
        self.profiling_queue_wait_seconds.labels(platform)
        self.profiling_sessions_active.labels(platform, device_id).set(0)
        self.profiling_low_throughput.labels(platform).set(self._low_throughput_of(platform))

    def started(
        self, device_id: str, platform: str, spec_model: ModelRef, wait_s: float, trace_id: str
    ) -> None:
        """Count a session, and note it as active."""
        self.profiling_sessions_total.labels(
            platform, spec_model.architecture, spec_model.quantization
        ).inc()
        self.profiling_sessions_active.labels(platform, device_id).set(1)
        self.profiling_queue_wait_seconds.labels(platform).observe(wait_s, _exemplar(trace_id))

    def refused(self, device_id: str, platform: str, counts: Mapping[Refusal, int]) -> None:
        """Count messages that were dropped."""
        for why, count in counts.items():
            self.worker_messages_dropped_total.labels(platform, device_id, why).inc(count)

    def idle(self, device_id: str, platform: str) -> None:
        """Note that no session runs, however the last one ended (a killed worker says nothing)."""
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
        """Note the end of a session; duration_s is host time."""
        self.idle(device_id, platform)
        self.profiling_duration_seconds.labels(platform, test_type).observe(
            duration_s, _exemplar(trace_id)
        )
        self.profiling_last_completion.labels(platform, device_id).set(time.time())
        if reason is not None:
            self.profiling_errors_total.labels(platform, device_id, reason).inc()

    def loaded(
        self,
        platform: str,
        model: ModelRef,
        memory: tuple[MemoryUse, ...],
        *,
        how: str,
        load_s: float,
        trace_id: str,
    ) -> None:
        """Note how a model of a finished session got onto its board, and what it takes there."""
        self.model_load_seconds.labels(platform, how).observe(load_s, _exemplar(trace_id))
        taken: dict[str, int] = {}
        for use in memory:  # a category may be spread over regions
            category = use.category if use.category in MEMORY_TYPES else "other"
            taken[category] = taken.get(category, 0) + use.used_bytes
        for category, used in taken.items():
            self.model_memory_usage_kb.labels(model.name, platform, category).set(used / 1024)
            self.model_memory_usage_bytes.labels(
                model.name, platform, category, model.quantization
            ).set(used)

    def measured(
        self,
        platform: str,
        model: ModelRef,
        case: CaseResult,
        energy_per_token_mj: float | None,
        trace_id: str,
    ) -> None:
        """Publish what one test case measured; what it could not measure keeps its last sample."""
        labels = (model.name, platform, model.quantization)
        exemplar = _exemplar(trace_id)
        if case.decode_tokens_per_second is not None:
            self.model_tokens_per_second.labels(*labels).set(case.decode_tokens_per_second.mean)
        self.model_prefill_tokens_per_second.labels(*labels).set(
            case.prefill_tokens_per_second.mean
        )
        self.model_last_run.labels(*labels).set(time.time())
        self.model_last_ttft.labels(*labels).set(case.ttft_s.mean)
        if energy_per_token_mj is not None:
            self.model_energy_per_token.labels(*labels).set(energy_per_token_mj / 1000)
        if case.inter_token_p95_s is not None:
            length = (model.name, platform, _length(case.n_prompt))
            self.model_latency_p95_ms.labels(*length).set(case.inter_token_p95_s * 1000)
            self.model_latency_p95_seconds.labels(*length, model.quantization).set(
                case.inter_token_p95_s
            )
        ttft = self.model_time_to_first_token_seconds.labels(platform, model.quantization)
        for sample in case.ttft_s.samples:
            ttft.observe(sample, exemplar)
        between = self.model_inter_token_latency_seconds.labels(platform, model.quantization)
        for latency_s in case.position_latency_s:
            between.observe(latency_s, exemplar)
        if case.score is not None:
            text = case.score.text
            dataset = text if text in DATASETS else "another"
            scored = (model.name, dataset, platform)
            self.model_accuracy_score.labels(*scored).set(case.score.accuracy)
            self.model_accuracy_ratio.labels(*scored, model.quantization).set(case.score.accuracy)
            if case.score.quantization_error_rate is not None:
                self.quantization_error_rate.labels(
                    model.name, _BITS[model.quantization], model.quantization
                ).set(case.score.quantization_error_rate)


#: Bits a weight takes, scales left out: what people call the type by.
_BITS: Final = {"F32": "32", "F16": "16", "Q8_0": "8", "Q4_0": "4", "TQ2_0": "2"}


#: Texts that are scored over, by name: the case's prompt in schema 1, and the one that ships. Users' own share a
#: label, for there is no end to file names.
DATASETS: Final = frozenset({"prompt", "the-tempest"})

#: What LOAD tells of; a board that makes up others makes no series of them.
MEMORY_TYPES: Final = frozenset({"weights", "kv", "activations"})

#: What a job does: generate only, or also score.
TEST_TYPES: Final = ("generate", "score")


def test_type(spec: JobSpec) -> str:
    """Return the test_type label of a job."""
    return "score" if spec.score else "generate"


def load_seconds(result: JobResult) -> float:
    """Return the time from nothing to ready: transfer over the link, if any, and the board's own."""
    return (result.load.transfer_s or 0.0) + result.load.load_device_s


def _exemplar(trace_id: str) -> dict[str, str] | None:
    return {"trace_id": trace_id} if trace_id else None


def _length(n_prompt: int) -> str:
    """Return the power of two that a prompt's length reaches: a label of 13 values, not 4096."""
    return str(1 << (n_prompt - 1).bit_length())
