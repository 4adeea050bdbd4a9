"""Spans made of the board's own timestamps, placed on the host's clock.

The board's clock is read before and after each run, because whatever happens between two runs (a
model that is flashed, a restart, an hour of drift) may have moved it. placement.py does the rest.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace

from edgeprof.shared.types.profile import Phase
from edgeprof.workers.board.protocols import ClockOffset, HasClock, RunReport
from edgeprof.workers.profiling.placement import (
    DRIFT_LIMIT,
    DRIFT_LIMIT_EMULATED,
    NotPlacedError,
    Placed,
    place,
)

log = logging.getLogger(__name__)

#: How long a reading serves for the next run too: repetitions follow each other at once.
_FRESH_S: Final = 0.05


class BoardClock:
    """The clock of one board during one job."""

    def __init__(self, board: HasClock) -> None:
        self._board = board
        self._drift_limit = DRIFT_LIMIT_EMULATED if board.hello.emulated else DRIFT_LIMIT
        self._last: ClockOffset | None = None
        #: Why the first run without a place had none; "" when all runs were placed.
        self.trouble = ""

    def read(self) -> ClockOffset:
        """Read the board's clock. Raises Fault."""
        self._last = self._board.clock()
        return self._last

    def before_run(self) -> None:
        """Read the clock, unless that has just been done. Raises Fault."""
        if self._last is None or time.monotonic() - self._last.at_s > _FRESH_S:
            self.read()

    def loaded(self, load_device_s: float, began_s: float) -> None:
        """Trace LOAD, of which the board reports only the length: it ended now, with its reply.

        `began_s` is monotonic time before the call. An emulated clock may have gone faster than the
        host's, and a span that began before its cause would be wrong. The clock is read again,
        because the load may have restarted the board. Raises Fault.
        """
        now_s = time.monotonic()
        error_s = self.read().error_s
        start_s = max(now_s - load_device_s, began_s)
        self._span("board.load", start_s, now_s, error_s, board_s=load_device_s)

    def ran(
        self,
        phase: str,
        report: RunReport,
        attributes: Mapping[Phase, Mapping[str, float]] | None = None,
    ) -> Placed | None:
        """Trace prefill and decode of a run; return its place in time, or None if that is unknown.

        `phase` is "warmup", "decode" or "profile"; `attributes` are for each span. Raises
        Fault when the board does not say its time.
        """
        before, after = self._last, self.read()
        assert before is not None, "before_run() comes first"
        try:
            placed = place(report, before, after, self._drift_limit)
        except NotPlacedError as error:
            self._missing(str(error))
            return None
        warmup = phase == "warmup"
        given = attributes or {}
        self._span(
            "board.prefill",
            placed.start_s,
            placed.prefill_end_s,
            placed.error_s,
            board_s=report.prefill_us / 1e6,
            warmup=warmup,
            attributes=given.get(Phase.PREFILL),
        )
        if report.step_us:
            self._span(
                "board.decode",
                placed.prefill_end_s,
                placed.end_s,
                placed.error_s,
                board_s=sum(report.step_us) / 1e6,
                warmup=warmup,
                attributes=given.get(Phase.DECODE),
            )
        return placed

    def _missing(self, why: str) -> None:
        """Tell why a run has no spans: in the trace for each run, in the log once."""
        trace.get_current_span().set_attribute("edgeprof.board_spans_absent", why)
        if not self.trouble:
            self.trouble = why
            log.warning("a run has no spans of the board's own, and no energy: %s", why)

    def _span(
        self,
        name: str,
        start_s: float,
        end_s: float,
        error_s: float,
        *,
        board_s: float,
        warmup: bool | None = None,
        attributes: Mapping[str, float] | None = None,
    ) -> None:
        # Taken each time: the host's clock may have been set since the job began.
        epoch_minus_monotonic_ns = time.time_ns() - time.monotonic_ns()
        span = trace.get_tracer("edgeprof").start_span(
            name, start_time=int(start_s * 1e9) + epoch_minus_monotonic_ns
        )
        span.set_attribute("edgeprof.clock", "board")
        span.set_attribute("edgeprof.clock_offset_error_s", error_s)
        # As the board measured it. The span may be longer or shorter, where the clock drifts.
        span.set_attribute("edgeprof.board_s", board_s)
        if warmup is not None:
            span.set_attribute("edgeprof.warmup", warmup)
        if attributes:
            span.set_attribute("edgeprof.profiled", True)
            span.set_attributes(dict(attributes))
        span.end(int(end_s * 1e9) + epoch_minus_monotonic_ns)
