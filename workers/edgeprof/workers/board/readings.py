"""The readings of an idle board: published as metrics, and watched for heat."""

from __future__ import annotations

from edgeprof.shared.telemetry import logs
from edgeprof.shared.types.board import BoardInfo
from edgeprof.workers.board.description import log_fields
from edgeprof.workers.board.protocols import BoardStats
from edgeprof.workers.metrics.telemetry import Reading, Sender


class Readings:
    """The readings of one board, one after the other."""

    def __init__(self, info: BoardInfo, telemetry: Sender, temperature_limit_c: float) -> None:
        self._info = info
        self._telemetry = telemetry
        self._limit_c = temperature_limit_c
        self._last: BoardStats | None = None
        #: Sensors that were above the limit at the last reading.
        self._too_hot: set[str] = set()

    def publish(self, stats: BoardStats) -> None:
        """Send one reading to the host's metrics, and log a temperature that crosses the limit."""
        before, self._last = self._last, stats
        self._telemetry.send(
            Reading(
                regions=stats.regions,
                temperature_celsius=stats.temperature_celsius,
                temperature_emulated=stats.temperature_emulated,
                uptime_s=stats.uptime_us / 1e6,
                cpu_utilization=_cpu_utilization(before, stats),
                link=stats.link,
            )
        )
        for location, celsius in (stats.temperature_celsius or {}).items():
            self._watch(location, celsius, emulated=stats.temperature_emulated)

    def _watch(self, location: str, celsius: float, *, emulated: bool) -> None:
        context = log_fields(self._info)
        if celsius > self._limit_c and location not in self._too_hot:
            self._too_hot.add(location)
            heat = {
                "sensor_location": location,
                "temperature_celsius": celsius,
                "threshold_celsius": self._limit_c,
                "emulated": emulated,
            }
            logs.hardware.warning("High device temperature", extra=context | heat)
        elif celsius <= self._limit_c and location in self._too_hot:
            self._too_hot.discard(location)
            logs.hardware.info(
                "Device temperature back to normal",
                extra=context | {"temperature_celsius": celsius},
            )


def _cpu_utilization(before: BoardStats | None, now: BoardStats) -> float | None:
    """Return the share of time that the core was busy between two readings of one boot."""
    if before is None or before.boot_id != now.boot_id:
        return None
    spent_us = now.uptime_us - before.uptime_us
    if spent_us <= 0:
        return None
    return 1 - min(max(now.idle_us - before.idle_us, 0) / spent_us, 1.0)
