"""`edgeprof boards upgrade`: agents put their own firmware onto their boards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.shared.store.boards import PORT_RELEASED
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.emulated.child import firmware_dir
from tests.flashing.conftest import SHIM
from tests.support.null_lab import Rig
from tests.support.stm32_bootloader import Stm32Peer

pytestmark = [pytest.mark.qemu, pytest.mark.e2e, pytest.mark.timeout(400)]

FOLDER = firmware_dir() / "stm32f405"
AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"


@pytest.fixture(scope="module")
def old_firmware() -> bytes:
    """Our image as another commit would have built it: its git hash is another."""
    git_hash = json.loads((FOLDER / "tlep-stm32f405.json").read_text())["git_hash"].encode()
    image = (FOLDER / "tlep-stm32f405.bin").read_bytes()
    assert git_hash in image
    return image.replace(git_hash, b"0" * len(git_hash))


@pytest.fixture
def edgeprof(rig: Rig) -> Callable[..., subprocess.Popen[str]]:
    def start(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "edgeprof.cli", *arguments],
            env={**os.environ, **rig.settings.as_environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def start_agent(rig: Rig, tmp_path: Path) -> Iterator[Callable[..., None]]:
    """`start_agent(port, ...)`: an agent whose flash programs do without modem lines."""
    agents: list[subprocess.Popen[bytes]] = []

    def start(*ports: str) -> None:
        toml = tmp_path / "boards.toml"
        toml.write_text(
            "".join(f'[[board]]\nurl = "{port}"\nimage = "stm32f405"\n' for port in ports)
        )
        agents.append(
            subprocess.Popen(
                [sys.executable, "-c", AGENT, "--boards", str(toml)],
                env={
                    **os.environ,
                    **rig.settings.as_environment(),
                    "PYTHONPATH": str(SHIM),
                    # On a busy machine an emulated board may miss a PING: it is tested again soon.
                    "EDGEPROF_SELFTEST_QUARANTINE_INTERVAL_S": "0.5",
                },
            )
        )

    yield start
    for agent in agents:
        agent.terminate()
        assert agent.wait(30) == 0


def boards(rig: Rig) -> list[BoardInfo]:
    return rig.store.boards.all()


def all_online(rig: Rig, number: int) -> None:
    rig.wait_until(
        lambda: [b.state for b in boards(rig)] == [BoardState.ONLINE] * number,
        f"{number} boards are online",
        timeout_s=150,
    )


def until_released(rig: Rig) -> None:
    rig.wait_until(lambda: any(PORT_RELEASED in b.reason for b in boards(rig)), "the port is free")


def test_board_has_its_agents_firmware_and_takes_jobs_again(
    rig: Rig,
    stm32: Callable[..., Stm32Peer],
    old_firmware: bytes,
    start_agent: Callable[..., None],
    edgeprof: Callable[..., subprocess.Popen[str]],
) -> None:
    """The list names the outdated board; drained, flashed, tested and resumed, it is none."""
    peer = stm32(program=old_firmware)
    start_agent(peer.port)
    all_online(rig, 1)
    (before,) = boards(rig)
    listed = edgeprof("boards").communicate(timeout=60)[1]
    assert f"edgeprof boards upgrade {before.device_id}" in listed

    command = edgeprof("boards", "upgrade", before.device_id, "--json")
    until_released(rig)
    peer.reset_to_bootloader()
    out, err = command.communicate(timeout=240)

    assert command.returncode == 0, err
    assert json.loads(out)[0]["outcome"] == "done"
    (after,) = boards(rig)
    assert after.firmware_git_hash == before.agent_firmware_git_hash
    assert after.state is BoardState.ONLINE
    assert peer.flash.startswith((FOLDER / "tlep-stm32f405.bin").read_bytes())

    again = edgeprof("boards", "upgrade", "--platform", "stm32f405")
    assert "has its agent's firmware already" in again.communicate(timeout=60)[1]
    assert again.returncode == 0


def test_one_failure_stops_the_platform(
    rig: Rig,
    stm32: Callable[..., Stm32Peer],
    old_firmware: bytes,
    start_agent: Callable[..., None],
    edgeprof: Callable[..., subprocess.Popen[str]],
) -> None:
    """Nobody brings the first board's bootloader up: it stays drained, and the second keeps its
    firmware and its jobs."""
    peers = [stm32(program=old_firmware, uid=0x01F4), stm32(program=old_firmware, uid=0x02F4)]
    start_agent(*(peer.port for peer in peers))
    all_online(rig, 2)

    command = edgeprof("boards", "upgrade", "--platform", "stm32f405")
    err = command.communicate(timeout=240)[1]

    assert command.returncode == 1
    first, second = boards(rig)
    assert first.state is BoardState.DRAINING
    assert f"{first.device_id}: not upgraded: " in err
    assert "BOOT0" in err
    assert f"left as they are: {second.device_id}" in err
    assert second.state is BoardState.ONLINE
    assert all(peer.flash.startswith(old_firmware) for peer in peers)


def test_boards_must_be_named(edgeprof: Callable[..., subprocess.Popen[str]]) -> None:
    """Nothing is upgraded by accident."""
    command = edgeprof("boards", "upgrade")

    assert "which boards?" in command.communicate(timeout=60)[1]
    assert command.returncode == 2


def test_tag_without_a_value_is_refused(edgeprof: Callable[..., subprocess.Popen[str]]) -> None:
    """It is no tag, and not one that no board has."""
    command = edgeprof("boards", "upgrade", "--tag", "shelf")

    assert "--tag 'shelf' is no tag" in command.communicate(timeout=60)[1]
    assert command.returncode == 2
