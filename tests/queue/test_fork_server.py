"""The fork server of an agent: workers are forked from it, and end with it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.workers.host.forked import ForkServer
from edgeprof.workers.host.supervisor import Supervised

REFUSES = """
import os, socket
from edgeprof.workers.worker.fork_server import ORDER, ORDERS_FD_VARIABLE, NotStarted
orders = socket.socket(fileno=int(os.environ[ORDERS_FD_VARIABLE]))
while data := orders.recv(65536):
    order = ORDER.validate_json(data)
    orders.send(NotStarted(number=order.number, why="no memory").model_dump_json().encode())
"""


@pytest.fixture
def agent(rig: Any) -> subprocess.Popen[bytes]:
    """The process of an agent with two imaginary boards, which are online."""
    script = Path(__file__).parents[1] / "chaos" / "null_agent.py"
    process: subprocess.Popen[bytes] = subprocess.Popen(
        [sys.executable, str(script), "null://?uid=01", "null://?uid=02"],
        env={**os.environ, **rig.settings.as_environment()},
    )
    rig.adopt(process)
    for uid in ("01", "02"):
        rig.until_board(f"null-{uid}", BoardState.ONLINE)
    return process


@pytest.fixture
def make_server() -> Iterator[Callable[..., ForkServer]]:
    servers = []

    def make(*command: str) -> ForkServer:
        servers.append(ForkServer(command, {}))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.e2e
def test_nothing_is_shared_but_memory(agent: subprocess.Popen[bytes]) -> None:
    """A fork server has no threads and no connections; a worker has a session of its own."""
    (server,) = children(agent.pid)
    workers = children(server)

    assert len(list(Path(f"/proc/{server}/task").iterdir())) == 1
    sockets = [fd for fd in Path(f"/proc/{server}/fd").iterdir() if "socket" in str(fd.readlink())]
    assert len(sockets) == 3  # its orders, and a pair that wakes it
    assert [os.getsid(pid) for pid in workers] == workers


@pytest.mark.e2e
def test_ps_shows_the_board_of_a_worker(agent: subprocess.Popen[bytes]) -> None:
    """As it did when each worker was started by a command of its own."""
    (server,) = children(agent.pid)
    for uid, worker in zip(("01", "02"), children(server), strict=True):
        assert f'"url":"null://?uid={uid}"' in Path(f"/proc/{worker}/cmdline").read_text()


@pytest.mark.e2e
def test_killed_fork_server_costs_seconds(
    rig: Any, agent: subprocess.Popen[bytes], make_spec: Any
) -> None:
    """Its workers hand back their jobs and end; others are forked by another fork server."""
    rig.start_scheduler()
    (server,) = children(agent.pid)
    workers = children(server)
    job = rig.submit(make_spec(n_gen=50))
    rig.until_running(job)

    os.kill(server, signal.SIGKILL)

    assert job.wait(timeout=30).state is JobState.SUCCEEDED
    rig.wait_until(
        lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), "the workers are gone"
    )
    for uid in ("01", "02"):
        rig.until_board(f"null-{uid}", BoardState.ONLINE)
    assert agent.poll() is None


@pytest.mark.e2e
def test_only_the_agent_ends_workers(agent: subprocess.Popen[bytes]) -> None:
    """systemd sends SIGTERM to every process of a service; exit codes must still be reported."""
    (server,) = children(agent.pid)
    os.kill(server, signal.SIGTERM)
    os.kill(server, signal.SIGINT)

    agent.terminate()

    assert agent.wait(20) == 0
    assert not Path(f"/proc/{server}").exists()


def test_worker_that_cannot_be_forked_is_tried_again(
    make_server: Callable[..., ForkServer], caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel refuses for want of memory: one line, and pauses that grow."""
    server = make_server(sys.executable, "-c", REFUSES)
    worker = Supervised("b", lambda last_code: server.start("{}", last_code, 0))
    for _ in range(3):
        worker._start_at_s = 0
        worker.tend()

    assert worker.pid is None
    assert worker._pause_s > 1
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "worker of board b not started: no memory" in caplog.text


@pytest.mark.parametrize("before", ["", "sleep 0.3; "])
def test_fork_server_that_fails_ends_its_workers(
    make_server: Callable[..., ForkServer], before: str
) -> None:
    """A package is missing: its exit code is that of each worker."""
    server = make_server("sh", "-c", f"{before}exit 3")

    assert [server.start("{}", None, 0).wait(5) for _ in range(2)] == [3, 3]
