"""Watched ports are never given up, a trouble is told once, and stopping waits for no board."""

from __future__ import annotations

import logging
import os
import pty
import re
import signal
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.client import Lab
from edgeprof.shared.models import catalogue
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.host.discovery import SeenPorts
from edgeprof.workers.host.supervisor import Supervised
from edgeprof.workers.worker.process import EXIT_BOARD_GONE, EXIT_NOT_OURS
from tests.support.log_records import log_records
from tests.support.null_lab import Rig

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"
MODEL = min(catalogue.bundled(), key=lambda name: catalogue.bundled()[name].stat().st_size)


class Adapter:
    """A USB adapter that stays: what is behind it comes and goes, the tty is always there."""

    def __init__(self, folder: Path, name: str) -> None:
        self.far_end, self._host_end = pty.openpty()
        tty.setraw(self._host_end)
        self.path = folder / name
        self.path.symlink_to(os.ttyname(self._host_end))
        self._board: subprocess.Popen[bytes] | None = None

    def power_on(self, uid: str) -> None:
        """Start a board behind it."""
        firmware = str(firmware_image("tlep-native", "native"))
        self._board = subprocess.Popen(
            [firmware, "--fd", str(self.far_end), "--uid", uid, "--line-rate", "0"],
            stdin=subprocess.DEVNULL,
            pass_fds=(self.far_end,),
        )

    def power_off(self) -> None:
        """End the board; the tty stays."""
        if self._board is not None:
            self._board.kill()
            self._board.wait()
            self._board = None

    def close(self) -> None:
        self.power_off()
        os.close(self.far_end)
        os.close(self._host_end)


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Callable[[str], Adapter]]:
    """`adapter(name)`: a new one in the watched folder."""
    folder = tmp_path / "by-id"
    folder.mkdir()
    made: list[Adapter] = []

    def make(name: str) -> Adapter:
        made.append(Adapter(folder, name))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def watch(rig: Rig, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`watch(**settings)`: an agent that watches the folder of the adapters."""
    agents: list[subprocess.Popen[bytes]] = []

    def start(**settings: Any) -> subprocess.Popen[bytes]:
        path = tmp_path / "boards.toml"
        path.write_text(f'watch = ["{tmp_path}/by-id/*"]\n')
        changed = rig.settings.model_copy(update=settings)
        command = [sys.executable, "-c", AGENT, "--boards", str(path)]
        environment = {**os.environ, **changed.as_environment()}
        agents.append(subprocess.Popen(command, env=environment))
        return agents[-1]

    yield start
    for agent in agents:
        agent.terminate()
        assert agent.wait(30) == 0


def told(settings: Settings, words: str) -> list[str]:
    """Messages of warnings and errors in the logs that hold these words."""
    records = log_records(settings.log_dir, "*")
    return [str(r["message"]) for r in records if words in str(r["message"]) and is_loud(r)]


def is_loud(record: dict[str, Any]) -> bool:
    return str(record.get("level", "")).upper() in {"WARNING", "ERROR"}


@pytest.mark.e2e
def test_port_that_was_silent_is_found_later(
    rig: Rig, adapter: Callable[[str], Adapter], watch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A board whose power comes later, and one flashed behind its adapter; each is told of once."""
    unpowered, foreign = adapter("unpowered"), adapter("foreign")
    watch(port_look_s=0.1)

    def looked_again() -> bool:
        os.write(foreign.far_end, b"login: \r\n")
        spoken = told(rig.settings, "looked at again")
        return all(any(each.path.name in line for line in spoken) for each in (unpowered, foreign))

    rig.wait_until(looked_again, "nothing of ours answers on either port", timeout_s=90)
    looks = len(list(rig.settings.log_dir.iterdir()))
    rig.wait_until(
        lambda: len(list(rig.settings.log_dir.iterdir())) >= looks + 2, "looks in vain", 60
    )
    assert rig.store.boards.all() == []

    unpowered.power_on("00a1")
    foreign.power_on("00a2")
    states = {"native-00a1": BoardState.ONLINE, "native-00a2": BoardState.ONLINE}
    rig.wait_until(
        lambda: {b.device_id: b.state for b in rig.store.boards.all()} == states,
        "both boards are found",
        timeout_s=60,
    )
    for each in (unpowered, foreign):
        assert len([t for t in told(rig.settings, "no HELLO") if each.path.name in t]) == 1
        assert len([t for t in told(rig.settings, "looked at again") if each.path.name in t]) == 1


@pytest.mark.e2e
def test_board_that_was_seen_is_waited_for(
    rig: Rig, adapter: Callable[[str], Adapter], watch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """A board whose power goes is found again behind its adapter, and its port is remembered."""
    port = adapter("usb-board")
    port.power_on("00b1")
    watch(port_look_s=0.1)
    rig.until_board("native-00b1", BoardState.ONLINE)
    assert len(list((rig.settings.data_dir / "ports-seen").iterdir())) == 1

    port.power_off()
    rig.wait_until(lambda: told(rig.settings, "looked at again"), "it is silent", timeout_s=120)
    rig.until_board("native-00b1", BoardState.OFFLINE)
    port.power_on("00b1")

    rig.wait_until(
        lambda: [b.state for b in rig.store.boards.all()] == [BoardState.ONLINE],
        "the board is back",
        timeout_s=60,
    )


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_does_not_wait_for_hello(
    rig: Rig,
    adapter: Callable[[str], Adapter],
    watch: Callable[..., subprocess.Popen[bytes]],
    number: signal.Signals,
) -> None:
    """An agent whose worker waits for a silent board ends within 5 s."""
    port = adapter("silent")
    agent = watch()
    os.set_blocking(port.far_end, False)

    def asked() -> bool:
        try:
            return bool(os.read(port.far_end, 100))
        except BlockingIOError:
            return False

    rig.wait_until(asked, "HELLO is sent")
    started_s = time.monotonic()
    agent.send_signal(number)

    assert agent.wait(20) == 0
    assert time.monotonic() - started_s < 5
    assert told(rig.settings, "killing it") == []


@pytest.mark.e2e
def test_stopping_does_not_wait_for_a_board_that_fell_silent_in_a_job(
    rig: Rig, adapter: Callable[[str], Adapter], watch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """The job has its grace, then the board has 3 s to end it; it goes back to the queue."""
    rig.start_scheduler()
    port = adapter("usb-board")
    port.power_on("00c1")
    agent = watch()
    rig.until_board("native-00c1", BoardState.ONLINE)
    with Lab(settings=rig.settings) as lab:
        job = lab.submit(
            MODEL, platform="native", n_prompt=100, n_gen=100, repetitions=1000, check_output=False
        )
        rig.until_running(job)
        port.power_off()
        started_s = time.monotonic()
        agent.terminate()

        assert agent.wait(30) == 0
        assert time.monotonic() - started_s < rig.settings.stop_grace_s + 3 + 5
        assert job.status is JobState.QUEUED
        assert job.view().attempts[0].code == "worker_stopped"
    assert told(rig.settings, "killing it") == []


def test_a_port_is_looked_at_ever_less_often_and_never_given_up(tmp_path: Path) -> None:
    """Pauses double up to 10 minutes; up to one where a board was seen, also by an agent before."""
    seen = SeenPorts(tmp_path / "seen")
    tries = (0, 1, 2, 3, 4, 5, 10**6)

    assert [seen.retry_after_s("/dev/serial/by-id/a", n, 30) for n in tries] == [
        30, 60, 120, 240, 480, 600, 600,
    ]  # fmt: skip

    seen.note("/dev/serial/by-id/a")
    for remembered in (seen, SeenPorts(tmp_path / "seen")):
        assert [remembered.retry_after_s("/dev/serial/by-id/a", n, 30) for n in (0, 1, 99)] == [
            30, 60, 60,
        ]  # fmt: skip
        assert remembered.retry_after_s("/dev/serial/by-id/b", 99, 30) == 600


def test_ports_that_cannot_be_remembered_are_no_trouble(tmp_path: Path) -> None:
    """A data folder that cannot be written costs a rarer look after a restart."""
    (tmp_path / "seen").write_text("no folder")
    seen = SeenPorts(tmp_path / "seen")

    seen.note("/dev/x")

    assert seen.retry_after_s("/dev/x", 99, 30) == 60


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1, "ended (exit 1)"),
        (EXIT_BOARD_GONE, "is gone"),
        (EXIT_NOT_OURS, "nothing there speaks our protocol"),
    ],
)
def test_worker_that_ends_again_and_again_is_told_of_once(
    tmp_path: Path,
    wait_until: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    code: int,
    words: str,
) -> None:
    """A worker that keeps ending is logged once, and again when it ends in another way."""
    count, how = tmp_path / "count", tmp_path / "how"
    how.write_text(str(code))
    script = f"echo >> {count}; exit $(cat {how})"
    worker = Supervised(
        "b",
        lambda _last_code: subprocess.Popen(["sh", "-c", script]),
        retry_after_s=lambda _looks: 0.01,
    )

    def starts(number: int) -> Callable[[], bool]:
        def so_many() -> bool:
            worker.tend()
            return count.is_file() and len(count.read_text()) >= number

        return so_many

    with caplog.at_level(logging.WARNING):
        wait_until(starts(4), "it was started four times")
        assert [bool(re.search(re.escape(words), m)) for m in caplog.messages] == [True]
        how.write_text("7")
        wait_until(lambda: starts(0)() and len(caplog.messages) > 1, "another end is told")
    assert "exit 7" in caplog.messages[-1]
    worker.wait(time.monotonic() + 5)
