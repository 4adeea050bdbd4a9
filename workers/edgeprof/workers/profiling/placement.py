"""Where on the host's clock a run lay, from readings of the board's clock before and after it.

A board's clock starts anew with each restart, may wrap or be set, and drifts; QEMU's stands still
while its host is busy elsewhere. So an offset holds only for a moment. Two readings that agree give
one offset, and the run keeps the length that the board measured. Two readings that differ by more
than their errors give a drift, and times between them are interpolated. A place that contradicts
the host (a run that began before it was sent) is refused: no place is better than a wrong one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgeprof.workers.board.protocols import ClockOffset, RunReport

#: A crystal is off by 0.01 %, an RC oscillator by 1 %; a wrong crystal or divider by far more.
DRIFT_LIMIT = 0.02
#: QEMU's clock follows its host only while it idles.
DRIFT_LIMIT_EMULATED = math.inf

#: The board's times are whole microseconds.
_TICK_S = 1e-6


class NotPlacedError(Exception):
    """Raised when two readings of a clock do not tell where a run lay; the text says why."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A run's place on the host's monotonic clock; each time is right to error_s."""

    start_s: float
    prefill_end_s: float
    end_s: float
    error_s: float


def place(report: RunReport, before: ClockOffset, after: ClockOffset, drift_limit: float) -> Placed:
    """Place a run between two readings of the board's clock. Raises NotPlacedError."""
    start_s, end_s = report.start_us / 1e6, report.end_us / 1e6
    if not before.device_s - _TICK_S <= start_s <= end_s <= after.device_s + _TICK_S:
        raise NotPlacedError("the board's clock was set, or wrapped, during a run")
    drift_s = before.offset_s - after.offset_s
    elapsed_s = after.at_s - before.at_s
    unsure_s = before.error_s + after.error_s
    if abs(drift_s) > drift_limit * elapsed_s + unsure_s:
        raise NotPlacedError(
            f"the board's clock went {drift_s:+.3g} s off the host's in {elapsed_s:.3g} s"
        )
    if abs(drift_s) <= unsure_s:
        placed = _by_one_offset(report, before, after)
    else:
        placed = _by_interpolation(report, before, after)
    # The run was sent before it began, and was over before it was read.
    early_s, late_s = report.host_sent_s - placed.start_s, placed.end_s - report.host_done_s
    if max(early_s, late_s) > placed.error_s:
        raise NotPlacedError(
            "the board's clock has a run begin before it was sent, or end after it was read"
        )
    return _inside(placed, max(early_s, 0.0) - max(late_s, 0.0), report)


def _by_one_offset(report: RunReport, before: ClockOffset, after: ClockOffset) -> Placed:
    """Use the middle of what both readings allow: the offset in between was within their errors."""
    lowest_s = min(before.offset_s - before.error_s, after.offset_s - after.error_s)
    highest_s = max(before.offset_s + before.error_s, after.offset_s + after.error_s)
    offset_s = (lowest_s + highest_s) / 2
    start_s = report.start_us / 1e6 + offset_s
    return Placed(
        start_s,
        start_s + report.prefill_us / 1e6,
        report.end_us / 1e6 + offset_s,
        (highest_s - lowest_s) / 2,
    )


def _by_interpolation(report: RunReport, before: ClockOffset, after: ClockOffset) -> Placed:
    """Interpolate; a clock may go unevenly, so each time may be wrong by the whole drift."""
    rate = (after.at_s - before.at_s) / (after.device_s - before.device_s)

    def at(device_s: float) -> float:
        return before.at_s + (device_s - before.device_s) * rate

    start_s = report.start_us / 1e6
    return Placed(
        at(start_s),
        at(start_s + report.prefill_us / 1e6),
        at(report.end_us / 1e6),
        max(before.error_s, after.error_s) + abs(before.offset_s - after.offset_s),
    )


def _inside(placed: Placed, shift_s: float, report: RunReport) -> Placed:
    """Shift a run into the time that the host waited for it, and cut what is longer."""

    def inside(at_s: float) -> float:
        return min(max(at_s + shift_s, report.host_sent_s), report.host_done_s)

    # The true place and this one are both within that wait.
    error_s = min(placed.error_s, report.host_done_s - report.host_sent_s)
    return Placed(
        inside(placed.start_s), inside(placed.prefill_end_s), inside(placed.end_s), error_s
    )
