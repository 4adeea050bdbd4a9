"""The host agent: its workers live while it lives, and no longer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.queue import doorbell
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.board.config import BoardConfig
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e

AGENT = """
import sys
from edgeprof.shared.telemetry import logs
from edgeprof.shared.settings import load_settings
from edgeprof.workers.host.agent import Agent
from edgeprof.workers.board.config import load_boards
settings = load_settings()
logs.configure(settings, "edgeprof-agent")
command = [sys.executable, "-m", "edgeprof.workers.testing"]
Agent(load_boards(None, sys.argv[1:]), settings, command).run()
"""

AGENT_OF_FILE = AGENT.replace(
    "load_boards(None, sys.argv[1:])", "load_boards(Path(sys.argv[1]), [])"
)
AGENT_OF_FILE = "from pathlib import Path" + AGENT_OF_FILE


@pytest.fixture
def start_agent(rig: Rig) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    agents = []

    def start(*uids: str) -> subprocess.Popen[bytes]:
        urls = [f"null://?uid={uid}" for uid in uids]
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, *urls],
            env={**os.environ, **rig.settings.as_environment()},
        )
        agents.append(agent)
        for uid in uids:
            rig.until_board(f"null-{uid}", BoardState.ONLINE)
        return agent

    yield start
    for agent in agents:
        agent.terminate()
        agent.wait()


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(agent_pid: int) -> list[int]:
    """The children of the agent's only child, its fork server."""
    (fork_server,) = children(agent_pid)
    return children(fork_server)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_stopping_the_agent_stops_its_workers(
    rig: Rig, start_agent: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """SIGTERM: the agent ends with 0, its workers are gone, their boards are offline."""
    agent = start_agent("01", "02")
    workers = workers_of(agent.pid)

    agent.send_signal(signal.SIGTERM)

    assert agent.wait(60) == 0
    assert [pid for pid in workers if alive(pid)] == []
    assert {board.state for board in rig.store.boards.all()} == {BoardState.OFFLINE}


def test_workers_do_not_outlive_a_killed_agent(
    rig: Rig, start_agent: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """kill -9 of the agent: the workers say goodbye and end by themselves."""
    agent = start_agent("01")
    workers = workers_of(agent.pid)

    agent.kill()
    agent.wait()

    rig.wait_until(lambda: not any(map(alive, workers)), "the workers are gone")
    rig.until_board("null-01", BoardState.OFFLINE)


def test_dead_worker_is_started_again(
    rig: Rig, start_agent: Callable[..., subprocess.Popen[bytes]], make_spec: Callable[..., JobSpec]
) -> None:
    """kill -9 of a worker: the agent starts another, which gives the job back before its lease is
    out."""
    rig.settings = rig.settings.model_copy(update={"lease_s": 20})
    rig.start_scheduler()
    agent = start_agent("01")
    job = rig.submit(make_spec(n_gen=200))
    rig.until_running(job)

    os.kill(workers_of(agent.pid)[0], signal.SIGKILL)
    view = job.wait(timeout=30)

    assert view.state is JobState.SUCCEEDED
    assert view.attempts[0].code == "worker_died"


def test_board_configuration_round_trips() -> None:
    """A worker reads the configuration that the agent passes to it."""
    config = BoardConfig(url="/dev/ttyACM0", id="bench-3", flash=("st-flash", "write", "{slot}"))

    assert BoardConfig.model_validate_json(config.model_dump_json()) == config


def test_garbage_on_a_queue_costs_a_restart_and_no_job(
    rig: Rig, start_agent: Callable[..., subprocess.Popen[bytes]], make_spec: Callable[..., JobSpec]
) -> None:
    """A message that is not Celery's ends the worker's loop, and the agent starts the worker
    afresh."""
    start_agent("01")
    rig.store.script.redis.lpush(doorbell.list_key("platform.null", 0), b"not JSON at all")

    assert rig.submit(make_spec()).wait(timeout=30).state is JobState.SUCCEEDED


def test_board_that_never_answered_is_told(rig: Rig, tmp_path: Path) -> None:
    """`edgeprof boards` names each configured board and port without one, and why; until it
    answers."""
    present = tmp_path / "present"
    boards = tmp_path / "boards.toml"
    boards.write_text(
        f'watch = ["{tmp_path}/usb-*"]\n'
        f'[[board]]\nurl = "null://?uid=07&present={present}"\n'
        '[[board]]\nuid = "08"\nid = "on-the-shelf"\n'
    )
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT_OF_FILE, str(boards)],
        env={**os.environ, **rig.settings.as_environment()},
    )
    rig.adopt(agent)

    def waiting() -> list[tuple[str, str]]:
        return [(w.port, w.reason) for host in rig.store.hosts.all() for w in host.waiting]

    rig.wait_until(lambda: len(waiting()) == 2, "both are told")
    (port, reason), shelf = waiting()
    assert port == f"null://?uid=07&present={present}"
    assert "nobody answers" in reason
    assert shelf == ("on-the-shelf", "not seen on any watched port")
    said = subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", "boards"],
        env={**os.environ, **rig.settings.as_environment()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "no board yet on testhost, on-the-shelf: not seen" in said.stderr.replace("\n", " ")

    present.touch()
    rig.until_board("null-07", BoardState.ONLINE)
    rig.wait_until(lambda: waiting() == [shelf], "the one that answers is not told any more")
    agent.terminate()
    assert agent.wait(60) == 0
