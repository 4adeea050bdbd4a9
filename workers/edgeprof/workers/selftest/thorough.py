"""All that can be found out about a board without a second instrument: proof of a port on silicon.

The line at each rate, the clock against the host's, all RAM, and every kernel against the host's
reference. A person reads the findings, so a fault ends one check and not the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from edgeprof.shared.errors import Fault, ModelError
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.profiling.placement import DRIFT_LIMIT
from edgeprof.workers.selftest.known_answer import known_model, run_known_answer

#: Small enough for every board that can run any of our models.
_UPLOAD: Final = Quantization.Q4_0
_PINGS: Final = 100
_PING_TIMEOUT_S: Final = 1.0
_N_CTX: Final = 16
_N_GEN: Final = 16
#: More than enough for the RAM of a microcontroller, with PSRAM.
_MEMORY_BUDGET_S: Final = 60.0
_PPM: Final = 1e6


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found out."""

    outcome: Literal["ok", "FAILED", "not tested"]
    check: str
    says: str

    def __str__(self) -> str:
        return f"{self.outcome}: {self.check}: {self.says}"


def examine(
    board: Board,
    info: BoardInfo,
    *,
    clock_s: float,
    next_epoch: Callable[[], int],
    check_stop: Callable[[], None],
) -> Iterator[Finding]:
    """Test an idle board; models in its RAM are lost. Yields a finding a check.

    clock_s: how long its clock is compared with the host's. `check_stop` is called between the
    checks and while the clock runs; what it raises ends the test.
    """
    rates = board.rates()
    for rate in rates or (None,):
        check_stop()
        name = "line" if rate is None else f"line at {rate} baud"
        yield _found(name, partial(_line, board, rate, next_epoch))
    if rates:
        board.use_rate(max(rates))
    check_stop()
    yield _found("memory", partial(_memory, board, next_epoch()))
    for kernel in board.hello.kernels:
        check_stop()
        yield _found(f"kernel {kernel}", partial(_kernel, board, info, kernel, next_epoch()))
    yield _found("clock", partial(_clock, board, clock_s, check_stop))


class _CheckError(Exception):
    """Raised inside by a check that finds a board wrong."""


def _found(check: str, carry_out: Callable[[], str]) -> Finding:
    try:
        return Finding("ok", check, carry_out())
    except _CheckError as error:
        return Finding("FAILED", check, str(error))
    except ModelError as error:
        if error.code == "no_memory":
            return Finding("not tested", check, "the model does not fit")
        return Finding("FAILED", check, str(error))
    except Fault as fault:
        if fault.graceful_stop:
            raise
        return Finding("FAILED", check, str(fault))


def _line(board: Board, rate: int | None, next_epoch: Callable[[], int]) -> str:
    """Send small frames and a model over the line, and count what was lost or damaged."""
    if rate is not None:
        board.use_rate(rate)
    before = board.stats().link
    lost = sum(not board.answers(_PING_TIMEOUT_S) for _ in range(_PINGS))
    sent = _upload(board, next_epoch)
    after = board.stats().link
    overruns = after["rx_overruns"] - before["rx_overruns"]
    damaged = sum(after[key] - before[key] for key in ("rx_errors", "host_rx_errors"))
    says = f"{sent}; {lost} of {_PINGS} PINGs lost, {overruns} overruns, {damaged} damaged frames"
    if lost or overruns or damaged:
        raise _CheckError(says)
    return says


def _upload(board: Board, next_epoch: Callable[[], int]) -> str:
    board.test_memory(next_epoch(), 0.0)  # a model that is there already would not be sent again
    model = known_model(_UPLOAD)
    try:
        loaded, _ = board.load(
            model.path,
            model.sha256,
            n_ctx=_N_CTX,
            kv_type=KvType.F32,
            epoch=next_epoch(),
            on_progress=lambda _done, _all: None,
            should_stop=lambda: False,
        )
    except ModelError as error:
        if error.code != "no_memory":
            raise
        return "no model fits the RAM"
    speed = loaded.transfer_bytes_per_second
    if speed is None:
        return "no model went over it"
    return f"{loaded.transfer_bytes} bytes at {speed / 1000:.1f} kB/s"


def _memory(board: Board, epoch: int) -> str:
    test = board.test_memory(epoch, _MEMORY_BUDGET_S)
    if test is None:
        raise ModelError("the firmware has no memory test", code="no_memory")
    if bad := test.bad:
        raise _CheckError(
            f"{bad.region} at offset {bad.offset_bytes:#x} holds {bad.got:#010x}, not"
            f" {bad.expected:#010x}"
        )
    return f"{test.tested_bytes} of {test.total_bytes} bytes kept every pattern"


def _kernel(board: Board, info: BoardInfo, kernel: Quantization, epoch: int) -> str:
    result = run_known_answer(board, info, kernel, n_gen=_N_GEN, epoch=epoch)
    speed = result.cases[0].decode_tokens_per_second
    assert speed is not None
    return f"{_N_GEN} tokens equal the host's, {speed.mean:.2f} t/s"


def _clock(board: Board, clock_s: float, check_stop: Callable[[], None]) -> str:
    first = board.clock()
    until_s = time.monotonic() + clock_s
    while (left_s := until_s - time.monotonic()) > 0:
        check_stop()
        time.sleep(min(left_s, 0.1))
    second = board.clock()
    elapsed_s = second.at_s - first.at_s
    drift = (first.offset_s - second.offset_s) / elapsed_s
    error = (first.error_s + second.error_s) / elapsed_s
    off = f"{drift * _PPM:+.0f} ppm off the host's, within {error * _PPM:.0f} ppm"
    says = f"{off}, in {elapsed_s:.0f} s"
    if board.hello.emulated:
        return f"{says} (emulated)"
    if abs(drift) > DRIFT_LIMIT + error:
        raise _CheckError(says)
    return says
