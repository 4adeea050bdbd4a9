"""What a host's boards say of themselves: the agent's `:9100/metrics`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from edgeprof.shared.telemetry.build import build_info
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.result import RegionUse

#: How many regions, and how many sensors, a board may name until it is opened anew: each name makes
#: a series.
_MOST_NAMES: Final = 16

#: Counters of STATS and of the host's link, and the label that each has in its metric. They count
#: since the board booted, or since the port was opened.
_FRAMES = {"rx_frames": "rx", "tx_frames": "tx"}
_BYTES = {"host_tx_bytes": "sent", "host_rx_bytes": "received"}
_ERRORS = {
    "rx_errors": "crc",
    "rx_overruns": "overrun",
    "tx_dropped_events": "dropped_event",
    "host_rx_errors": "host_crc",
}


class DeviceMetrics:
    """A set of series for each board. When a board leaves, its readings go and its status stays."""

    def __init__(self, registry: CollectorRegistry, temperature_limit_c: float = 85.0) -> None:
        """Declare the metrics. This is long because it is a list, one statement a metric."""
        board = ["device_id", "platform"]
        self.tlep_temperature_limit = Gauge(
            "tlep_temperature_limit_celsius",
            "Above this a board of this agent is too hot: in the log, the alert and the dashboard"
            " (EDGEPROF_TEMPERATURE_LIMIT_C)",
            registry=registry,
        )
        self.tlep_temperature_limit.set(temperature_limit_c)
        self.device_connection_status = Gauge(
            "device_connection_status",
            "Device connection status (1=connected, 0=disconnected)",
            [*board, "port"],
            registry=registry,
        )
        self.device_info = Gauge(
            "device_info",
            "What the device is; emulated ones say so here",
            [*board, "firmware_version", "clock_hz", "emulated"],
            registry=registry,
        )
        self.device_cpu_utilization = Gauge(
            "device_cpu_utilization_percent",
            "CPU utilization on target device, from its own idle accounting",
            board,
            registry=registry,
        )
        memory = [*board, "memory_type"]
        self.device_memory_usage = Gauge(
            "device_memory_usage_bytes", "Memory usage on target device", memory, registry=registry
        )
        self.device_memory_total = Gauge(
            "device_memory_total_bytes", "Memory of the target device", memory, registry=registry
        )
        self.device_memory_high_water = Gauge(
            "device_memory_high_water_bytes",
            "Most memory used since the last model was loaded; of the stack, since boot",
            memory,
            registry=registry,
        )
        self.device_power_consumption = Gauge(
            "device_power_consumption_mw",
            "Power consumption of target device, mean over its last metered job; absent without a"
            " meter",
            board,
            registry=registry,
        )
        self.device_temperature = Gauge(
            "device_temperature_celsius",
            "Operating temperature of device; absent without a sensor",
            [*board, "sensor_location"],
            registry=registry,
        )
        self.device_uptime = Gauge(
            "device_uptime_seconds", "Time since the device booted", board, registry=registry
        )
        self.device_last_reading = Gauge(
            "device_last_reading_timestamp_seconds",
            "When the device last told how it is, Unix time",
            board,
            registry=registry,
        )
        self.device_link_frames_total = Counter(
            "device_link_frames_total",
            "Frames on the serial link, seen from the device",
            [*board, "direction"],
            registry=registry,
        )
        self.device_link_bytes_total = Counter(
            "device_link_bytes_total",
            "Bytes on the serial link, seen from the host",
            [*board, "direction"],
            registry=registry,
        )
        self.device_link_errors_total = Counter(
            "device_link_errors_total",
            "Trouble on the serial link: bad frames at either end, overruns, events dropped",
            [*board, "kind"],
            registry=registry,
        )
        self.device_link_retransmits_total = Counter(
            "device_link_retransmits_total",
            "Requests and data sent again by the host",
            board,
            registry=registry,
        )
        build_info(registry, "agent")
        self._known: dict[str, BoardInfo] = {}
        self._counted: dict[str, dict[str, int]] = {}
        self._names: defaultdict[tuple[str, str], set[str]] = defaultdict(set)

    def connected(self, board: BoardInfo) -> None:
        """Note that a board answers; forget what it was before (another port, other firmware)."""
        if before := self._known.get(board.device_id):
            self._forget(before)
        self._known[board.device_id] = board
        labels = (board.device_id, board.platform)
        self.device_connection_status.labels(*labels, board.url).set(1)
        self.device_info.labels(*labels, *_described(board)).set(1)
        for region in board.regions[:_MOST_NAMES]:
            self.device_memory_total.labels(*labels, region.name).set(region.total_bytes)
        for name in _FRAMES.values():
            self.device_link_frames_total.labels(*labels, name)
        for name in _BYTES.values():
            self.device_link_bytes_total.labels(*labels, name)
        for name in _ERRORS.values():
            self.device_link_errors_total.labels(*labels, name)
        self.device_link_retransmits_total.labels(*labels)

    def disconnected(self, device_id: str) -> None:
        """Note that a board is gone: its status becomes 0, and its readings disappear."""
        board = self._known.get(device_id)
        if board is None:
            return
        self._forget(board)
        self.device_connection_status.labels(device_id, board.platform, board.url).set(0)

    def read(
        self,
        device_id: str,
        regions: tuple[RegionUse, ...],
        *,
        celsius: Mapping[str, float] | None,
        temperature_emulated: bool,
        uptime_s: float | None,
        cpu_utilization: float | None,
        power_mw: float | None,
        link: Mapping[str, int],
    ) -> None:
        """Publish one reading of a connected board. What it did not tell keeps its last sample."""
        board = self._known.get(device_id)
        if board is None:
            return
        labels = (device_id, board.platform)
        self.device_last_reading.labels(*labels).set(time.time())
        known = self._known_names(device_id, "memory", (region.name for region in regions))
        for region in regions:
            if region.name not in known:
                continue
            memory = (*labels, region.name)
            self.device_memory_usage.labels(*memory).set(region.used_bytes)
            self.device_memory_total.labels(*memory).set(region.total_bytes)
            self.device_memory_high_water.labels(*memory).set(region.high_water_bytes)
        celsius = celsius or {}
        for location in self._known_names(device_id, "sensors", celsius) & celsius.keys():
            value = celsius[location]
            where = f"{location}-emulated" if temperature_emulated else location
            self.device_temperature.labels(*labels, where).set(value)
        if uptime_s is not None:
            self.device_uptime.labels(*labels).set(uptime_s)
        if cpu_utilization is not None:
            self.device_cpu_utilization.labels(*labels).set(cpu_utilization * 100)
        if power_mw is not None:
            self.device_power_consumption.labels(*labels).set(power_mw)
        self._count(labels, link)

    def _known_names(self, device_id: str, kind: str, told: Iterable[str]) -> set[str]:
        """Return the names that are shown: the first _MOST_NAMES that the board told."""
        known = self._names[device_id, kind]
        for name in told:
            if len(known) < _MOST_NAMES:
                known.add(name)
        return known

    def _count(self, labels: tuple[str, str], link: Mapping[str, int]) -> None:
        """Add what came since the last reading; a counter that went back has restarted at zero."""
        last = self._counted.setdefault(labels[0], {})
        for name, value in link.items():
            grown = value - last.get(name, 0)
            last[name] = value
            self._grow(labels, name, value if grown < 0 else grown)

    def _grow(self, labels: tuple[str, str], name: str, amount: int) -> None:
        if name in _FRAMES:
            self.device_link_frames_total.labels(*labels, _FRAMES[name]).inc(amount)
        elif name in _BYTES:
            self.device_link_bytes_total.labels(*labels, _BYTES[name]).inc(amount)
        elif name in _ERRORS:
            self.device_link_errors_total.labels(*labels, _ERRORS[name]).inc(amount)
        elif name == "retransmits":
            self.device_link_retransmits_total.labels(*labels).inc(amount)

    def _forget(self, board: BoardInfo) -> None:
        """Remove every gauge of a board; its counters go on when it returns."""
        device = {"device_id": board.device_id}
        for kind in ("memory", "sensors"):
            self._names.pop((board.device_id, kind), None)
        for gauge in (
            self.device_connection_status,
            self.device_info,
            self.device_cpu_utilization,
            self.device_memory_usage,
            self.device_memory_total,
            self.device_memory_high_water,
            self.device_power_consumption,
            self.device_temperature,
            self.device_uptime,
            self.device_last_reading,
        ):
            gauge.remove_by_labels(device)


def _described(board: BoardInfo) -> tuple[str, str, str]:
    clock = "" if board.clock_hz is None else str(board.clock_hz)
    return board.firmware_version, clock, str(board.emulated).lower()
