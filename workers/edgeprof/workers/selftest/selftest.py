"""Whether a board works: its link, its clock and its memory, then a model with a known answer.

The cheapest test comes first, and the first fault ends it all: over a bad link every later answer
would be doubtful.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.shared.types.board import BoardInfo
from edgeprof.workers.board.protocols import (
    AnswersPing,
    HasClock,
    HasMemoryTest,
    HasStats,
    SelfTestBoard,
)
from edgeprof.workers.profiling.placement import DRIFT_LIMIT
from edgeprof.workers.selftest.known_answer import check_answer

log = logging.getLogger(__name__)

_PINGS: Final = 50
#: A board on a good cable loses no PING; a busy host may miss one.
_LOST_LIMIT: Final = 2
#: Long, so that a host that stands still for a moment loses no PING.
_PING_TIMEOUT_S: Final = 1.0

_CLOCK_INTERVAL_S: Final = 0.5
_CLOCK_TRIES: Final = 3
#: QEMU's instruction clock lags by up to 7 % when its host is busy (measured with six times as many
#: busy processes as cores).
_DRIFT_LIMIT_EMULATED: Final = 0.25

#: Enough for all RAM of the boards that exist as silicon, several times over, and for a part of
#: what QEMU's machines have.
_MEMORY_BUDGET_S: Final = 0.4


def self_test(board: SelfTestBoard, info: BoardInfo, *, epoch: int, suspect: bool) -> None:
    """Test an idle board; a model in its RAM is lost. Raises the Fault that the board has.

    `epoch` is a fencing token, and a board wants to see them grow. `suspect`: whether the board is
    quarantined.
    """
    check_link(board)
    check_clock(board)
    check_memory(board, epoch)
    check_answer(board, info, epoch=epoch, suspect=suspect)


def check_link(board: AnswersPing) -> None:
    """Count small frames that are not answered at once. Raises LinkFault "link_loss"."""
    damaged_before = _damaged_frames(board)
    sent = lost = 0
    while sent < _PINGS and lost <= _LOST_LIMIT:
        sent += 1
        lost += not board.answers(_PING_TIMEOUT_S)
    damaged = _damaged_frames(board) - damaged_before
    if max(lost, damaged) > _LOST_LIMIT:
        raise LinkFault(
            f"{lost} of {sent} PINGs were not answered at the first try, {damaged} frames arrived"
            f" damaged (limit: {_LOST_LIMIT} of {_PINGS})",
            code="link_loss",
            hint="another cable, another hub, a lower baud rate; is ground connected?",
        )


def _damaged_frames(board: HasStats) -> int:
    """Return how many frames arrived damaged, as both ends have counted them."""
    counters = board.stats().link
    return counters["rx_errors"] + counters["host_rx_errors"]


def check_clock(board: HasClock) -> None:
    """Compare an idle board's clock with the host's. Raises BoardFault "timer_drift".

    Half of the shortest round trip bounds the error of each reading of the board's clock. That much
    is allowed on top of the limit, so no host is too slow for a healthy board. A clock fails only
    if it is wrong at every try.
    """
    limit = _DRIFT_LIMIT_EMULATED if board.hello.emulated else DRIFT_LIMIT
    for _ in range(_CLOCK_TRIES):
        drift, error = _drift(board)
        if abs(drift) <= limit + error:
            return
    raise BoardFault(
        f"in {_CLOCK_INTERVAL_S} s the board's clock went {drift:+.1%} off the host's, within"
        f" {error:.1%} (limit: {limit:.0%})",
        code="timer_drift",
        hint="is its firmware made for a crystal of another frequency?",
    )


def _drift(board: HasClock) -> tuple[float, float]:
    """Return how much faster than the host's the board's clock runs, and the error; 0.01 is 1 %."""
    first = board.clock()
    time.sleep(_CLOCK_INTERVAL_S)
    second = board.clock()
    elapsed_s = second.at_s - first.at_s
    error_s = first.error_s + second.error_s
    return (first.offset_s - second.offset_s) / elapsed_s, error_s / elapsed_s


def check_memory(board: HasMemoryTest, epoch: int) -> None:
    """Write patterns to RAM and read them back. Raises BoardFault "memory_pattern"."""
    test = board.test_memory(epoch, _MEMORY_BUDGET_S)
    if test is None:
        log.debug("no memory test: the board's firmware has none")
        return
    log.debug("memory test: %d of %d bytes", test.tested_bytes, test.total_bytes)
    if bad := test.bad:
        raise BoardFault(
            f"bad RAM: {bad.region} at offset {bad.offset_bytes:#x} holds {bad.got:#010x}, not the"
            f" {bad.expected:#010x} written to it (wrong bits: {bad.got ^ bad.expected:#010x})",
            code="memory_pattern",
        )
