"""Bootloaders as peers, and `edgeprof flash` in a process of its own."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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


#: The mock gives its peer 50 ms for an answer, and forgets it 3 s after a write, whatever it is
#: saying then: too little for a peer on a busy machine.
_MOCK = """
from esp32_mock_bootloader import cli, server
server._CLIENT_RECV_TIMEOUT = server._FLASH_END_IDLE_SEC = 600.0
cli.main()
"""


class Esp:
    """`esp("esp32c3")`: the port of a chip in its ROM bootloader."""

    def __init__(self) -> None:
        self._mocks: dict[str, subprocess.Popen[str]] = {}

    def __call__(self, chip: str) -> str:
        mock = subprocess.Popen(
            [
                *(sys.executable, "-u", "-c", _MOCK),
                *("run", "--chip", chip, "--pty"),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert mock.stdout is not None
        for line in mock.stdout:
            if (found := re.search(r"on PTY (/dev/\S+)", line)) is not None:
                self._mocks[found[1]] = mock
                return found[1]
        mock.kill()
        mock.communicate()
        pytest.fail("the mock has not started")

    def pull(self, port: str) -> None:
        """Take the chip off its line."""
        mock = self._mocks.pop(port)
        mock.kill()
        mock.communicate()

    def pull_all(self) -> None:
        for port in list(self._mocks):
            self.pull(port)


@pytest.fixture
def esp() -> Iterator[Esp]:
    chips = Esp()
    yield chips
    chips.pull_all()


def read_flash(port: str, address: int, size: int) -> bytes:
    """Read a chip's flash back, by esptool itself."""
    command = [sys.executable, "-m", "esptool", "--port", port, "read-flash"]
    with tempfile.NamedTemporaryFile() as file:
        words = [*command, str(address), str(size), file.name]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(file.name).read_bytes()


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
    os.close(ours)
    os.close(theirs)
