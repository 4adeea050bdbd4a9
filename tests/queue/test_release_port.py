"""A debugger, a serial monitor or a console gets a board's port, and gives it back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from edgeprof.client import JobOptions, Lab
from edgeprof.shared.models import catalogue
from edgeprof.shared.store.board_logs import BoardLogs
from edgeprof.shared.store.boards import PORT_RELEASED
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from tests.support.null_lab import Rig
from tests.support.pty_board import PtyBoard

pytestmark = pytest.mark.e2e

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"
MODEL = min(catalogue.bundled(), key=lambda name: catalogue.bundled()[name].stat().st_size)
NAME = "native-0011"


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Path]:
    """A native board on a tty."""
    with PtyBoard(tmp_path, "0011", 10_000_000) as board:
        yield board.path


@pytest.fixture
def start_agent(rig: Rig, port: Path) -> Callable[[], subprocess.Popen[bytes]]:
    def start() -> subprocess.Popen[bytes]:
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, "--board", str(port)],
            env={**os.environ, **rig.settings.as_environment()},
        )
        rig.adopt(agent)
        return agent

    return start


def edgeprof(rig: Rig, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", *arguments],
        env={**os.environ, **rig.settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def board(rig: Rig) -> BoardInfo:
    (only,) = rig.store.boards.all()
    assert isinstance(only, BoardInfo)
    return only


def users_of(port: Path) -> list[int]:
    """The processes that have the tty open, but for this one, which made it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                links = [str(link.readlink()) for link in (folder / "fd").iterdir()]
            except OSError:
                continue  # it has ended
            if os.path.realpath(port) in links:
                found.append(int(folder.name))
    return found


def test_port_is_free_until_resumed(
    rig: Rig, port: Path, start_agent: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """The running job ends first; then the port can be had exclusively, and `resume` brings the
    board back. A plain drain closes no port, so that the drained board can be tested."""
    rig.start_scheduler()
    start_agent()
    rig.until_board(NAME, BoardState.ONLINE)
    edgeprof(rig, "boards", "drain", NAME)
    rig.until_board(NAME, BoardState.DRAINING)
    assert len(users_of(port)) == 1
    assert not rig.store.boards.port_wanted(NAME)
    edgeprof(rig, "boards", "resume", NAME)
    rig.until_board(NAME, BoardState.ONLINE)
    with Lab(settings=rig.settings) as lab:
        options: JobOptions = {"platform": "native", "n_prompt": 4, "repetitions": 5}
        job = lab.submit(MODEL, **options | {"n_gen": 100})
        rig.until_running(job)

        edgeprof(rig, "boards", "drain", NAME, "--release-port", "--reason", "gdb")
        assert job.wait(timeout=60).state is JobState.SUCCEEDED
        rig.wait_until(lambda: PORT_RELEASED in board(rig).reason, "the port is released")

        assert users_of(port) == []
        with serial.Serial(str(port), exclusive=True):
            waiting = lab.submit(MODEL, **options | {"n_gen": 4})
            said = edgeprof(rig, "boards", "drain", NAME, "--release-port", "--reason", "gdb")
        assert str(port) in said
        assert (board(rig).state, board(rig).reason) == (
            BoardState.DRAINING,
            f"gdb; {PORT_RELEASED}",
        )
        assert waiting.status is JobState.QUEUED

        edgeprof(rig, "boards", "resume", NAME)
        assert waiting.wait(timeout=60).state is JobState.SUCCEEDED
    assert board(rig).reason == ""


def test_restarted_agent_leaves_a_released_port_alone(
    rig: Rig, port: Path, start_agent: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """An agent that starts while a debugger has the port does not open it until the board is
    resumed."""
    first = start_agent()
    rig.until_board(NAME, BoardState.ONLINE)
    edgeprof(rig, "boards", "drain", NAME, "--release-port")
    first.terminate()
    assert first.wait(30) == 0

    start_agent()
    log = rig.settings.log_dir
    rig.wait_until(
        lambda: any("is released to another program" in p.read_text() for p in log.iterdir()),
        "the worker has seen that the port is not its own",
    )
    assert users_of(port) == []

    edgeprof(rig, "boards", "resume", NAME)
    rig.until_board(NAME, BoardState.ONLINE)


class Console:
    """`edgeprof console` on a terminal of its own."""

    def __init__(self, rig: Rig) -> None:
        self._ours, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeprof.cli", "console", NAME],
            env={**os.environ, **rig.settings.as_environment(), "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        rig.adopt(self.process)
        os.close(theirs)
        self.said = ""

    def until(self, text: str) -> None:
        while text not in self.said:
            self.said += os.read(self._ours, 4096).decode(errors="replace")

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def close(self) -> None:
        os.close(self._ours)


def test_console_has_the_port_and_gives_it_back_however_it_ends(
    rig: Rig, port: Path, start_agent: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """A console is alone on the port, and its board is out of service. The board is back when
    the person leaves, and when the console is killed."""
    start_agent()
    rig.until_board(NAME, BoardState.ONLINE)

    console = Console(rig)
    console.until("Ctrl-] leaves")
    assert users_of(port) == [console.process.pid]
    assert board(rig).state is BoardState.DRAINING
    assert "has a console on testhost" in board(rig).reason
    console.type(b"\x00what?\x1d")
    console.until("is back in a few seconds")
    assert console.process.wait(30) == 0
    rig.wait_until(lambda: users_of(port), "its worker has opened the port again")
    rig.until_board(NAME, BoardState.ONLINE)
    console.close()

    console = Console(rig)
    console.until("Ctrl-] leaves")
    console.process.kill()
    rig.wait_until(lambda: len(users_of(port)) == 1, "its worker has opened the port again")
    rig.wait_until(lambda: board(rig).reason == "", "the board is back")
    console.close()
    assert any("who had it is gone" in change.reason for change in rig.store.boards.history(NAME))
    log = [line.fields["message"] for line in BoardLogs(rig.store.script).read(NAME)]
    assert log.count("Port released") == 2
