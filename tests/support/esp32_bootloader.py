"""Chips of the ESP32 family on ptys, in their ROM bootloader: esp32-mock-bootloader."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.support.retired_ptys import retire

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
        retire(port)
        mock.kill()
        mock.communicate()

    def pull_all(self) -> None:
        for port in list(self._mocks):
            self.pull(port)


def read_flash(port: str, address: int, size: int) -> bytes:
    """Read a chip's flash back, by esptool itself."""
    command = [sys.executable, "-m", "esptool", "--port", port, "read-flash"]
    with tempfile.NamedTemporaryFile() as file:
        words = [*command, str(address), str(size), file.name]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return Path(file.name).read_bytes()
