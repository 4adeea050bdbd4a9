"""Bootloaders as peers, and `edgeprof flash` in a process of its own."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.esp32_bootloader import Esp
from tests.support.retired_ptys import retire
from tests.support.stm32_bootloader import Stm32Peer

SHIM = Path(__file__).parents[1] / "support" / "no_modem_lines"
FIRMWARE = Path(__file__).parents[2] / "firmware"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def flash(tmp_path: Path) -> Run:
    """`flash("/dev/pts/3", "--yes")`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(SHIM),
        "EDGEPROF_CACHE_DIR": str(tmp_path / "cache"),
        "EDGEPROF_LOCK_DIR": str(tmp_path / "locks"),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgeprof.cli", "flash", *arguments],
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture
def esp() -> Iterator[Esp]:
    chips = Esp()
    yield chips
    chips.pull_all()


@pytest.fixture
def stm32(tmp_path: Path) -> Iterator[Callable[..., Stm32Peer]]:
    """`stm32(chip_id=0x431)`: a chip in its ROM bootloader."""
    peers: list[Stm32Peer] = []

    def make(**options: Any) -> Stm32Peer:
        peers.append(Stm32Peer(tmp_path, **options))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture(scope="module")
def of_an_older_protocol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware of an STM32F405 as if the link protocol's major version were 0 still."""
    folder = tmp_path_factory.mktemp("protocol-0")
    first = folder / "first.h"
    first.write_text('#include "link/link.h"\n#define TLEP_PROTOCOL_MAJOR 0\n')
    flags = f"-DCMAKE_C_FLAGS=-I{FIRMWARE / 'core'} -include {first}"
    for command in (
        ["cmake", "--preset", "stm32f405", "-B", str(folder), flags],
        ["cmake", "--build", str(folder)],
    ):
        done = subprocess.run(command, cwd=FIRMWARE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "tlep-stm32f405.bin"


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A port on which nobody says anything."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    retire(os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)
