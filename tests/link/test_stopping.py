"""A worker that is to stop waits for no board: every wait of the link ends soon."""

from __future__ import annotations

import dataclasses
import os
import pty
import socket
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import cbor2
import pytest

from edgeprof.shared.errors import HostFault
from edgeprof.shared.models import ModelFile
from edgeprof.shared.types.model import KvType
from edgeprof.workers.board import flash, reset
from edgeprof.workers.board.config import BoardConfig, ResetCommand
from edgeprof.workers.board.protocols import Cancelled
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.link.framing import Frame, Kind
from edgeprof.workers.link.messages.operations import Op
from tests.link.conftest import Line

SOON_S = 2.0


class Soon:
    """`soon(action)`: sets the stop during the action, and returns how it ended: soon."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._timers: list[threading.Timer] = []

    def __call__(self, action: Callable[[], object]) -> HostFault | Cancelled:
        self._timers.append(threading.Timer(0.3, self.stop.set))
        self._timers[-1].start()
        started_s = time.monotonic()
        with pytest.raises((HostFault, Cancelled)) as caught:
            action()
        assert self.stop.is_set()
        assert time.monotonic() - started_s < SOON_S
        assert isinstance(caught.value, HostFault | Cancelled)
        return caught.value

    def close(self) -> None:
        for timer in self._timers:
            timer.join()


@pytest.fixture
def soon() -> Iterator[Soon]:
    made = Soon()
    yield made
    made.close()


@pytest.fixture
def silent_tty() -> Iterator[str]:
    """A tty whose other end never says a word."""
    far_end, host_end = pty.openpty()
    tty.setraw(host_end)
    yield os.ttyname(host_end)
    os.close(far_end)
    os.close(host_end)


def stopped_by(options: OpenOptions, stop: threading.Event) -> OpenOptions:
    return dataclasses.replace(options, open_timeout_s=30.0, should_stop=stop.is_set)


def test_while_hello_is_waited_for(soon: Soon, options: OpenOptions, silent_tty: str) -> None:
    """A stop ends the wait at a silent tty soon, and the tty's lock is free again."""
    for _ in range(2):
        soon.stop.clear()
        fault = soon(lambda: open_board(silent_tty, stopped_by(options, soon.stop)))
        assert isinstance(fault, HostFault)
        assert fault.code == "worker_stopped"


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_while_a_server_that_says_nothing_is_waited_for(
    soon: Soon, options: OpenOptions, scheme: str
) -> None:
    """A stop ends the wait for a silent TCP server soon, while connecting and afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"{scheme}://127.0.0.1:{server.getsockname()[1]}"
        fault = soon(lambda: open_board(url, stopped_by(options, soon.stop)))
        assert isinstance(fault, HostFault)
        assert fault.code == "worker_stopped"


def swallow_from(line: Line, op: Op | str) -> None:
    """Make the line swallow everything, both ways, from the first frame of an operation on."""

    def swallow(frame: Frame) -> bool:
        if (frame.kind, op) == (Kind.DATA, "DATA") or (
            frame.kind is Kind.REQ and cbor2.loads(frame.payload)[0] == op
        ):
            line.drop = 1.0
        return False

    line.swallow = swallow


@pytest.mark.parametrize("op", [Op.CANCEL, Op.HELLO, Op.UPLOAD, "DATA", Op.VERIFY, Op.LOAD])
def test_while_a_model_is_loaded(
    soon: Soon, line: Line, options: OpenOptions, small_model: ModelFile, op: Op | str
) -> None:
    """A stop cancels a loading job soon, whatever the board does not answer."""
    board = open_board(line.url, dataclasses.replace(options, open_timeout_s=30.0))
    swallow_from(line, op)
    ended = soon(
        lambda: board.load(
            small_model.path, small_model.sha256, n_ctx=64, kv_type=KvType.F16, epoch=1,
            on_progress=lambda _done, _total: None, should_stop=soon.stop.is_set,
        )
    )  # fmt: skip
    assert isinstance(ended, Cancelled)
    board.close()


@pytest.mark.parametrize("action", ["stats", "clock", "reset"])
def test_while_an_idle_board_is_asked(
    soon: Soon, line: Line, options: OpenOptions, action: str
) -> None:
    """A board that fell silent holds nobody up."""
    board = open_board(line.url, stopped_by(options, soon.stop))
    line.drop = 1.0
    fault = soon(getattr(board, action))
    assert isinstance(fault, HostFault)
    assert fault.code == "worker_stopped"
    board.close()


def test_while_a_board_restarts(soon: Soon, line: Line, options: OpenOptions) -> None:
    """A stop ends the wait for a board that heard RESET and does not come back."""
    board = open_board(line.url, stopped_by(options, soon.stop))
    swallow_from(line, Op.HELLO)
    fault = soon(board.reset)
    assert isinstance(fault, HostFault)
    assert fault.code == "worker_stopped"
    board.close()


#: Starts another program, ignores SIGTERM, and does not end.
STUBBORN = (
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "child = subprocess.Popen(['sleep', '600']); open(sys.argv[1], 'w').write(f'{child.pid}\\n');"
    "time.sleep(600)"
)


@pytest.mark.parametrize("tool", ["flash", "reset"])
def test_while_a_tool_runs(
    soon: Soon, tmp_path: Path, wait_until: Callable[..., None], tool: str
) -> None:
    """A flash tool or a reset is ended, with whatever it has started, willing or not."""
    note = tmp_path / "child"
    command = (sys.executable, "-c", STUBBORN, str(note))

    def check_stop() -> None:
        if soon.stop.is_set() and note.is_file() and note.read_text().endswith("\n"):
            raise HostFault("stopped", code="worker_stopped")

    def act() -> None:
        if tool == "flash":
            flash.run_flash_tool(command, "/dev/x", tmp_path, check_stop)
        else:
            config = BoardConfig(url="/dev/x", reset=ResetCommand(command=command))
            reset.reset(config, check_stop)

    fault = soon(act)
    assert isinstance(fault, HostFault)
    assert fault.code == "worker_stopped"
    child = note.read_text().strip()

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except FileNotFoundError:
            return True

    wait_until(gone, "what the tool has started is gone")
