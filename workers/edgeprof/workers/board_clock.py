"""Spans made of the board's own timestamps, placed on the host's clock by a measured offset."""

from __future__ import annotations

import time
from typing import Final

from opentelemetry import trace

from edgeprof.workers.board import ClockOffset, RunReport

_TRACER: Final = trace.get_tracer("edgeprof")


class BoardClock:
    """The offset was measured once at the start of the session; over its minutes a crystal drifts by
    milliseconds at most, and the durations are the board's in any case."""

    def __init__(self, offset: ClockOffset) -> None:
        self._offset = offset
        self._epoch_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()

    def trace_load(self, load_device_s: float) -> None:
        """LOAD tells only how long it took: its span ends now, when its reply has come."""
        now_ns = time.time_ns()
        self._span("board.load", now_ns - int(load_device_s * 1e9), now_ns)

    def trace_run(self, phase: str, report: RunReport) -> None:
        """One span for prefill and one for decode of a run; phase is "warmup" or "decode"."""
        prefill_end_us = report.start_us + report.prefill_us
        warmup = phase == "warmup"
        self._span("board.prefill", self._at(report.start_us), self._at(prefill_end_us), warmup)
        if report.step_us:
            end_us = prefill_end_us + sum(report.step_us)
            self._span("board.decode", self._at(prefill_end_us), self._at(end_us), warmup)

    def window_s(self, report: RunReport) -> tuple[float, float]:
        """Return start and end of a run on the host's monotonic clock."""
        offset_s = self._offset.offset_s
        return report.start_us / 1e6 + offset_s, report.end_us / 1e6 + offset_s

    def _at(self, device_us: int) -> int:
        monotonic_ns = int((device_us / 1e6 + self._offset.offset_s) * 1e9)
        return monotonic_ns + self._epoch_minus_monotonic_ns

    def _span(self, name: str, start_ns: int, end_ns: int, warmup: bool | None = None) -> None:
        span = _TRACER.start_span(name, start_time=start_ns)
        span.set_attribute("edgeprof.clock", "board")
        span.set_attribute("edgeprof.clock_offset_error_s", self._offset.error_s)
        if warmup is not None:
            span.set_attribute("edgeprof.warmup", warmup)
        span.end(end_ns)
