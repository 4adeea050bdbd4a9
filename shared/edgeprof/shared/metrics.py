"""The metrics of a lab host, under the names dashboards and alerts use.

One registry a process: a board worker sets what it measured, and whoever serves /metrics for the
host collects from its workers. A gauge that was never measured has no sample, rather than a zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from edgeprof.shared.jobs import BoardInfo, JobSpec
from edgeprof.shared.results import CaseResult, JobResult, RegionUse

REGISTRY: Final = CollectorRegistry()

profiling_sessions_total = Counter(
    "profiling_sessions_total",
    "Total number of profiling sessions",
    ["platform", "model_type", "quantization"],
    registry=REGISTRY,
)
profiling_sessions_active = Gauge(
    "profiling_sessions_active",
    "Profiling sessions running now",
    ["platform", "device_id"],
    registry=REGISTRY,
)
profiling_errors_total = Counter(
    "profiling_errors_total",
    "Attempts that failed, by whose fault it was",
    ["platform", "device_id", "fault_class", "code"],
    registry=REGISTRY,
)
profiling_duration_seconds = Histogram(
    "profiling_duration_seconds",
    "Time spent profiling models",
    ["platform", "test_type"],
    buckets=[1, 5, 10, 30, 60, 300, 600],
    registry=REGISTRY,
)
device_connection_status = Gauge(
    "device_connection_status",
    "Device connection status (1=connected, 0=disconnected)",
    ["device_id", "platform", "port"],
    registry=REGISTRY,
)
model_tokens_per_second = Gauge(
    "model_tokens_per_second",
    "Model inference speed",
    ["model_name", "platform", "quantization"],
    registry=REGISTRY,
)
model_memory_usage_kb = Gauge(
    "model_memory_usage_kb",
    "Model memory consumption",
    ["model_name", "platform", "memory_type"],
    registry=REGISTRY,
)
device_cpu_utilization = Gauge(
    "device_cpu_utilization_percent",
    "CPU utilization on target device",
    ["device_id", "platform"],
    registry=REGISTRY,
)
device_memory_usage = Gauge(
    "device_memory_usage_bytes",
    "Memory usage on target device",
    ["device_id", "platform", "memory_type"],
    registry=REGISTRY,
)
device_memory_total = Gauge(
    "device_memory_total_bytes",
    "Memory of the target device",
    ["device_id", "platform", "memory_type"],
    registry=REGISTRY,
)
device_power_consumption = Gauge(
    "device_power_consumption_mw",
    "Power consumption of target device",
    ["device_id", "platform"],
    registry=REGISTRY,
)
device_temperature = Gauge(
    "device_temperature_celsius",
    "Operating temperature of device",
    ["device_id", "platform", "sensor_location"],
    registry=REGISTRY,
)
model_accuracy_score = Gauge(
    "model_accuracy_score",
    "Model accuracy on test dataset",
    ["model_name", "dataset", "platform"],
    registry=REGISTRY,
)
model_latency_p95 = Gauge(
    "model_latency_p95_ms",
    "95th percentile inference latency",
    ["model_name", "platform", "input_length"],
    registry=REGISTRY,
)
quantization_error_rate = Gauge(
    "quantization_error_rate",
    "Error rate introduced by quantization",
    ["model_name", "quantization_bits", "method"],
    registry=REGISTRY,
)


def board_connected(board: BoardInfo, connected: bool) -> None:
    """Note whether the board answers."""
    device_connection_status.labels(board.device_id, board.platform, board.url).set(int(connected))
    for region in board.regions:
        device_memory_total.labels(board.device_id, board.platform, region.name).set(
            region.total_bytes
        )


def board_measured(
    board: BoardInfo, regions: Iterable[RegionUse], celsius: Mapping[str, float] | None
) -> None:
    """Publish what the board says of itself, between or after sessions."""
    for region in regions:
        device_memory_usage.labels(board.device_id, board.platform, region.name).set(
            region.used_bytes
        )
    for location, value in (celsius or {}).items():
        device_temperature.labels(board.device_id, board.platform, location).set(value)


def session_started(board: BoardInfo, spec: JobSpec) -> None:
    """Count a session and note it as active."""
    model = spec.model
    profiling_sessions_total.labels(
        board.platform, model.architecture, str(model.quantization)
    ).inc()
    profiling_sessions_active.labels(board.platform, board.device_id).set(1)


def session_ended(board: BoardInfo, spec: JobSpec, duration_s: float) -> None:
    """Note the end of a session, however it ended; duration_s is host time."""
    test_type = "score" if spec.score else "generate"
    profiling_sessions_active.labels(board.platform, board.device_id).set(0)
    profiling_duration_seconds.labels(board.platform, test_type).observe(duration_s)


def session_failed(board: BoardInfo, fault_class: str, code: str) -> None:
    """Count a failed attempt."""
    profiling_errors_total.labels(board.platform, board.device_id, fault_class, code).inc()


def session_measured(board: BoardInfo, result: JobResult) -> None:
    """Publish what a session measured; what it could not measure keeps its last sample."""
    name, platform = result.model.name, board.platform
    for case in result.cases:
        _case_measured(board, result, case)
    for use in result.memory:
        model_memory_usage_kb.labels(name, platform, use.category).set(use.used_bytes / 1024)
    board_measured(board, result.regions, result.temperature_celsius)


def _case_measured(board: BoardInfo, result: JobResult, case: CaseResult) -> None:
    name, platform = result.model.name, board.platform
    if case.decode_tokens_per_second is not None:
        model_tokens_per_second.labels(name, platform, str(result.model.quantization)).set(
            case.decode_tokens_per_second.mean
        )
    if case.inter_token_p95_s is not None:
        model_latency_p95.labels(name, platform, str(case.n_prompt)).set(
            case.inter_token_p95_s * 1000
        )
    if case.cpu_utilization is not None:
        device_cpu_utilization.labels(board.device_id, platform).set(
            case.cpu_utilization.mean * 100
        )
    if case.score is not None and case.score.top1_agreement is not None:
        model_accuracy_score.labels(name, "prompt", platform).set(case.score.top1_agreement)
