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

from tests.support.stm32_bootloader import Stm32Peer

SHIM = Path(__file__).parents[1] / "support" / "no_modem_lines"

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
def stm32(tmp_path: Path) -> Iterator[Callable[..., Stm32Peer]]:
    """`stm32(chip_id=0x431)`: a chip in its ROM bootloader."""
    peers: list[Stm32Peer] = []

    def make(**options: Any) -> Stm32Peer:
        peers.append(Stm32Peer(tmp_path, **options))
        return peers[-1]

    yield make
    for peer in peers:
        peer.close()


@pytest.fixture
def silent_port() -> Iterator[str]:
    """A port on which nobody says anything."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)
