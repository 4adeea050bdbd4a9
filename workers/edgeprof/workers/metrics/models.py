"""What the models of a host measured: `model_*` of the agent's `:8000/metrics`."""

from __future__ import annotations

import time
from collections import Counter
from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.profile import Phase
from edgeprof.shared.types.result import CaseResult, JobResult, MemoryUse
from edgeprof.workers.metrics.labels import JOB_BUCKETS_S, exemplar

#: From 0.1 ms (a token on a fast core) to five minutes (a long prompt on a slow chip). A quantile
#: lies somewhere between two edges, so it is wrong by their distance at most: a factor of 1.6.
_LATENCY_BUCKETS_S: Final = (
    *(float(f"{digits}e{power}") for power in range(-4, 2) for digits in (1, 1.5, 2, 3, 4.5, 6.5)),
    *(100.0, 150.0, 200.0, 300.0),
)

#: Bits of a weight without its scales, by which people call the type.
BITS: Final = {"F32": "32", "F16": "16", "Q8_0": "8", "Q4_0": "4", "TQ2_0": "2"}

#: How a model gets onto its board.
_HOW: Final = ("cached", "ram", "flash")

#: Texts with a label of their own: the case's prompt of schema 1, and the text that ships. Those of
#: users share one label, because file names have no end.
DATASETS: Final = frozenset({"prompt", "the-tempest"})

#: The categories of LOAD's reply. Others share one series, so that no board can make more.
MEMORY_TYPES: Final = frozenset({"weights", "kv", "activations"})


class ModelMetrics:
    """Keeps the last measurement of each model on each platform."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Declare the metrics. This is long because it is a list, one statement a metric."""
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
        # The customer's labels do not name the type, so the last run of any type is shown; our own
        # metrics tell types apart.
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
            "Model accuracy on test dataset: share of positions whose top-1 token is the right one;"
            " last run of any type",
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
            buckets=JOB_BUCKETS_S,
            registry=registry,
        )

        self.model_operator_share_ratio = Gauge(
            "model_operator_share_ratio",
            "Share of an operator in the time of the last profiled run, by the board's clock;"
            " operator is 'unaccounted' for what none has",
            [*by_model, "phase", "operator"],
            registry=registry,
        )

    def board_known(self, platform: str) -> None:
        """Create a platform's histograms before its first run, whatever it will be."""
        for how in _HOW:
            self.model_load_seconds.labels(platform, how)
        for quantization in BITS:
            self.model_time_to_first_token_seconds.labels(platform, quantization)
            self.model_inter_token_latency_seconds.labels(platform, quantization)

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
        """Note how a model got onto its board for a job that succeeded, and what it takes there."""
        self.model_load_seconds.labels(platform, how).observe(load_s, exemplar(trace_id))
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
        """Publish what one test case measured. What it did not measure keeps its last sample."""
        labels = (model.name, platform, model.quantization)
        traced = exemplar(trace_id)
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
            ttft.observe(sample, traced)
        between = self.model_inter_token_latency_seconds.labels(platform, model.quantization)
        for latency_s in case.position_latency_s:
            between.observe(latency_s, traced)
        self._profiled(labels, case)
        if case.score is not None:
            text = case.score.text
            dataset = text if text in DATASETS else "another"
            scored = (model.name, dataset, platform)
            self.model_accuracy_score.labels(*scored).set(case.score.accuracy)
            self.model_accuracy_ratio.labels(*scored, model.quantization).set(case.score.accuracy)
            if case.score.quantization_error_rate is not None:
                self.quantization_error_rate.labels(
                    model.name, BITS[model.quantization], model.quantization
                ).set(case.score.quantization_error_rate)

    def _profiled(self, labels: tuple[str, str, str], case: CaseResult) -> None:
        """Publish where the time of a profiled run went."""
        profile = case.profile
        if profile is None:
            return
        for phase in Phase:
            window = profile.window_ticks(phase)
            if not window:
                continue
            ticks = Counter({"unaccounted": profile.unaccounted_ticks(phase)})
            for cell in profile.cells:
                if cell.phase is phase:
                    ticks[cell.operator] += cell.ticks
            for operator, spent in ticks.items():
                self.model_operator_share_ratio.labels(*labels, phase, operator).set(spent / window)


def load_seconds(result: JobResult) -> float:
    """Return the time from nothing to ready: transfer over the link, if any, and LOAD."""
    return (result.load.transfer_s or 0.0) + result.load.load_device_s


def _length(n_prompt: int) -> str:
    """Return the power of two that a prompt's length reaches: a label of 13 values, not 4096."""
    return str(1 << (n_prompt - 1).bit_length())
