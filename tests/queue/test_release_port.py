"""`edgeprof boards drain --release-port`: a debugger or a serial monitor gets the port, and gives
it back."""

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
    board back."""
    rig.start_scheduler()
    start_agent()
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


def test_plain_drain_keeps_the_port(
    rig: Rig, port: Path, start_agent: Callable[[], subprocess.Popen[bytes]]
) -> None:
    """A drain without the option closes no port, so that the drained board can be tested."""
    start_agent()
    rig.until_board(NAME, BoardState.ONLINE)
    edgeprof(rig, "boards", "drain", NAME)
    rig.until_board(NAME, BoardState.DRAINING)

    assert len(users_of(port)) == 1
    assert not rig.store.boards.port_wanted(NAME)
