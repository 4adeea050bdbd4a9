"""Metrics: the customer's names, no ghosts, no bound broken, exemplars kept.

It is long because it is a list over one host with all metrics.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import ModelRef, Quantization
from edgeprof.shared.types.result import (
    CaseResult,
    MemoryUse,
    RegionUse,
    Samples,
    ScoreResult,
)
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import SessionMetrics
from edgeprof.workers.metrics.telemetry import Connected, Receiver, Started
from tests.support.board_infos import numbered_board

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"

#: monitoring-and-observability.md, and what its rules and dashboards use without defining it.
CUSTOMERS = {
    "profiling_sessions_total": {"platform", "model_type", "quantization"},
    "profiling_duration_seconds_bucket": {"platform", "test_type", "le"},
    "profiling_sessions_active": {"platform", "device_id"},
    "profiling_errors_total": {"platform", "device_id", "reason"},
    "device_connection_status": {"device_id", "platform", "port"},
    "model_tokens_per_second": {"model_name", "platform", "quantization"},
    "model_memory_usage_kb": {"model_name", "platform", "memory_type"},
    "device_cpu_utilization_percent": {"device_id", "platform"},
    "device_memory_usage_bytes": {"device_id", "platform", "memory_type"},
    "device_memory_total_bytes": {"device_id", "platform", "memory_type"},
    "device_power_consumption_mw": {"device_id", "platform"},
    "device_temperature_celsius": {"device_id", "platform", "sensor_location"},
    "model_accuracy_score": {"model_name", "dataset", "platform"},
    "model_latency_p95_ms": {"model_name", "platform", "input_length"},
    "quantization_error_rate": {"model_name", "quantization_bits", "method"},
}


def make_model(number: int, quantization: Quantization = Quantization.Q8_0) -> ModelRef:
    return ModelRef(
        name=f"model-{number}",
        sha256="0" * 64,
        size_bytes=1,
        quantization=quantization,
        n_params=1,
        n_ctx_train=64,
        n_vocab=8,
    )


def make_case(n_prompt: int = 9) -> CaseResult:
    one = Samples.of([2.0])
    return CaseResult(
        n_prompt=n_prompt,
        n_gen=2,
        prefill_tokens_per_second=one,
        decode_tokens_per_second=one,
        ttft_s=one,
        ttft_host_s=one,
        inter_token_p50_s=0.1,
        inter_token_p95_s=0.25,
        inter_token_p99_s=0.1,
        position_latency_s=(0.1,),
        cpu_utilization=None,
        run_device_s=one,
        run_host_s=one,
        tokens=(1, 2),
        text=None,
        output_check=None,
        score=ScoreResult(
            n_tokens=8,
            nll_nats=1.0,
            perplexity=2.0,
            accuracy=0.5,
            quantization_error_rate=0.125,
        ),
    )


class Host:
    """Both registries of a host agent."""

    def __init__(self) -> None:
        self.registries = CollectorRegistry(), CollectorRegistry()
        self.sessions = SessionMetrics(self.registries[0], lambda _: 1.0)
        self.devices = DeviceMetrics(self.registries[1])

    def connect(self, board: BoardInfo) -> None:
        self.sessions.board_known(board.device_id, board.platform)
        self.devices.connected(board)

    def read(self, board: BoardInfo, **changed: Any) -> None:
        reading: dict[str, Any] = {
            "celsius": {"die": 40.0},
            "temperature_emulated": False,
            "uptime_s": 1.0,
            "cpu_utilization": 0.25,
            "power_mw": 120.0,
            "link": {},
        }
        regions = (
            RegionUse(name="sram", kind="ram", total_bytes=100, used_bytes=60, high_water_bytes=70),
        )
        self.devices.read(board.device_id, regions, **(reading | changed))

    def profile(self, board: BoardInfo, model: ModelRef, case: CaseResult) -> None:
        platform = board.platform
        self.sessions.started(board.device_id, platform, model, 1.0, TRACE_ID)
        memory = (MemoryUse(category="weights", region="sram", used_bytes=2048),)
        self.sessions.models.loaded(platform, model, memory, how="ram", load_s=1, trace_id=TRACE_ID)
        self.sessions.models.measured(platform, model, case, 5.0, TRACE_ID)
        self.sessions.ended(
            board.device_id,
            platform,
            test_type="score",
            duration_s=3.0,
            reason=None,
            trace_id=TRACE_ID,
        )

    def samples(self, name: str = "") -> list[Sample]:
        return [sample for sample in self._all() if name in {"", sample.name}]

    def _all(self) -> Iterator[Sample]:
        for registry in self.registries:
            text = generate_latest(registry).decode()
            for family in text_string_to_metric_families(text):
                yield from family.samples


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.mark.parametrize("name", CUSTOMERS)
def test_every_metric_of_the_customer(host: Host, name: str) -> None:
    """Exactly its name and labels, after one scored run on a board with sensor and meter."""
    board = numbered_board()
    host.connect(board)
    host.read(board)
    host.profile(board, make_model(1), make_case())

    found = host.samples(name)

    assert found
    assert {frozenset(sample.labels) for sample in found} == {frozenset(CUSTOMERS[name])}


def test_siblings_in_base_units_agree(host: Host) -> None:
    """_kb and _ms say the same as _bytes and _seconds."""
    host.connect(numbered_board())
    host.profile(numbered_board(), make_model(1), make_case())

    assert host.samples("model_memory_usage_kb")[0].value == 2
    assert host.samples("model_memory_usage_bytes")[0].value == 2048
    assert host.samples("model_latency_p95_ms")[0].value == 250
    assert host.samples("model_latency_p95_seconds")[0].value == 0.25


def test_types_of_a_model_are_told_apart(host: Host) -> None:
    """Ours carry the type; those of the customer, whose labels lack it, say what the last run
    gave."""
    for kind in (Quantization.Q8_0, Quantization.Q4_0):
        host.profile(numbered_board(), make_model(1, kind), make_case())

    for name in ("model_memory_usage_bytes", "model_latency_p95_seconds", "model_accuracy_ratio"):
        assert {s.labels["quantization"] for s in host.samples(name)} == {"Q8_0", "Q4_0"}
    for name in ("model_memory_usage_kb", "model_latency_p95_ms", "model_accuracy_score"):
        assert len(host.samples(name)) == 1


def test_a_first_run_is_an_increase(host: Host) -> None:
    """Prometheus sees no increase in a series that is born with its first sample, so each counter
    and histogram of jobs is there before the first job."""
    host.connect(numbered_board())
    counted = {"profiling_sessions_total", "profiling_errors_total"}

    def series() -> set[tuple[str, frozenset[tuple[str, str]]]]:
        return {
            (sample.name, frozenset(sample.labels.items()))
            for sample in host.samples()
            if sample.name in counted or sample.name.endswith("_count")
        }

    before = series()
    host.profile(numbered_board(), make_model(1), make_case())

    assert series() == before


#: Longest and shortest that happens: a token on a fast core, a job that waits for a day.
REACH = {
    "model_inter_token_latency_seconds": (0.0001, 100),
    "model_time_to_first_token_seconds": (0.001, 300),
    "model_load_seconds": (0.05, 3600),
    "profiling_duration_seconds": (0.05, 3600),
    "profiling_queue_wait_seconds": (0.1, 86_400),
}


@pytest.mark.parametrize("name", REACH)
def test_buckets_fit_what_happens(host: Host, name: str) -> None:
    """A histogram's buckets reach from the shortest to the longest, with no gap of more than a
    factor of 2.5."""
    host.connect(numbered_board())
    host.profile(numbered_board(), make_model(1), make_case())
    buckets = host.samples(f"{name}_bucket")
    edges = sorted({float(sample.labels["le"]) for sample in buckets})[:-1]
    shortest, longest = REACH[name]

    assert edges[0] <= shortest
    assert edges[-1] >= longest
    assert max(above / below for below, above in itertools.pairwise(edges)) <= 2.5
    if name == "profiling_duration_seconds":  # the customer's own edges
        assert {1, 5, 10, 30, 60, 300, 600} <= set(edges)


def test_units_of_a_reading(host: Host) -> None:
    """CPU is a share on the wire and percent in the metric."""
    host.connect(numbered_board())
    host.read(numbered_board())

    assert host.samples("device_cpu_utilization_percent")[0].value == 25


def test_what_was_not_measured_is_absent(host: Host) -> None:
    """No sensor, no meter: no sample, rather than 0."""
    host.connect(numbered_board())
    host.read(numbered_board(), celsius=None, power_mw=None)

    assert host.samples("device_temperature_celsius") == []
    assert host.samples("device_power_consumption_mw") == []


def test_errors_are_there_before_the_first(host: Host) -> None:
    """A counter that is born at 1 shows no increase, so every class starts at 0."""
    host.connect(numbered_board())

    found = {
        sample.labels["reason"]: sample.value for sample in host.samples("profiling_errors_total")
    }
    assert found == dict.fromkeys(map(str, FaultClass), 0)


def test_board_that_goes_away_leaves_its_status_only(host: Host) -> None:
    """0 on its own port label; its readings are taken away. Counters stay: they only grow."""
    host.connect(numbered_board())
    host.read(numbered_board())
    host.devices.disconnected("native-1")

    assert [s.value for s in host.samples("device_connection_status")] == [0]
    left = {s.name for s in host.samples() if s.labels.get("device_id") == "native-1"}
    gauges = {n for n in left if n.startswith("device_") and not n.endswith("_total")}
    assert gauges == {"device_connection_status"}


def test_board_on_another_port_leaves_no_ghost(host: Host) -> None:
    """A replugged board has one status, on its new port."""
    host.connect(numbered_board(url="/dev/ttyA"))
    host.devices.disconnected("native-1")
    host.connect(numbered_board(url="/dev/ttyB"))

    found = host.samples("device_connection_status")
    assert [(s.labels["port"], s.value) for s in found] == [("/dev/ttyB", 1)]


def test_counters_of_the_link_survive_a_reboot(host: Host) -> None:
    """The board counts from 0 again; what is served only grows."""
    host.connect(numbered_board())
    for rx_errors in (5, 7, 1):
        host.read(numbered_board(), link={"rx_errors": rx_errors})

    crc = [s for s in host.samples("device_link_errors_total") if s.labels["kind"] == "crc"]
    assert [s.value for s in crc] == [8]


def test_histograms_carry_the_trace(host: Host) -> None:
    """Each histogram's bucket names the job's trace in the OpenMetrics format."""
    host.connect(numbered_board())
    host.profile(numbered_board(), make_model(1), make_case())

    text = openmetrics.generate_latest(host.registries[0]).decode()
    traced = {line.split("_bucket")[0] for line in text.splitlines() if TRACE_ID in line}
    assert traced == {
        "profiling_duration_seconds",
        "profiling_queue_wait_seconds",
        "model_load_seconds",
        "model_time_to_first_token_seconds",
        "model_inter_token_latency_seconds",
    }


def test_number_of_series_is_bounded(host: Host) -> None:
    """200 boards of 4 platforms, 20 models in 3 types on each: what docs/reference/metrics.md
    promises."""
    platforms = ("esp32s3", "stm32f405", "rp2040", "native")
    kinds = (Quantization.Q8_0, Quantization.Q4_0, Quantization.TQ2_0)
    boards = [numbered_board(n, platform=platforms[n % 4]) for n in range(200)]
    for board in boards:
        host.connect(board)
        host.read(board)
    for board in boards[:4]:
        for number in range(20):
            for kind in kinds:
                for n_prompt in (8, 9, 60, 200):
                    host.profile(board, make_model(number, kind), make_case(n_prompt))

    per_board = [s for s in host.samples() if s.labels.get("device_id") == "native-3"]
    assert len(per_board) <= 40
    assert len(host.samples()) < 20_000


def test_a_board_that_makes_names_up(host: Host) -> None:
    """New regions and sensors in each reading, new kinds of memory in each load: no more than 16 of
    each."""
    board = numbered_board(1)
    host.devices.connected(board)
    for number in range(100):
        name = f"\n{number}"
        region = RegionUse(name=name, kind="ram", total_bytes=1, used_bytes=1, high_water_bytes=1)
        host.devices.read(
            board.device_id, (region,), celsius={name: 1.0}, temperature_emulated=False,
            uptime_s=None, cpu_utilization=None, power_mw=None, link={},
        )  # fmt: skip
        use = MemoryUse(category=name, region="ram", used_bytes=1)
        host.sessions.models.loaded(
            "native", make_model(1), (use,), how="ram", load_s=1, trace_id=""
        )

    for told in ("device_memory_usage_bytes", "device_temperature_celsius"):
        assert len(host.samples(told)) == 16
    kinds = {sample.labels["memory_type"] for sample in host.samples("model_memory_usage_bytes")}
    assert kinds == {"other"}


@pytest.mark.parametrize("trace_id", ["x" * 200, "A" * 32, "\n"])
def test_a_wrong_trace_id_does_not_end_the_agent(host: Host, trace_id: str) -> None:
    """An exemplar too long is an error of the library, which would take all boards of the host with
    it."""
    receiver = Receiver(host.sessions, host.devices)
    with closing(receiver), closing(socket.socket(fileno=os.dup(receiver.worker_fd))) as worker:
        worker.send(Connected(board=numbered_board(1)).model_dump_json().encode())
        event = Started(model=make_model(1), wait_s=1, trace_id="").model_dump() | {
            "trace_id": trace_id
        }
        worker.send(json.dumps(event).encode())
        worker.send(b"[" * 10_000)
        receiver.drain()

    assert sum(sample.value for sample in host.samples("profiling_sessions_total")) == 0
