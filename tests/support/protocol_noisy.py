"""noisy://NAME: pyserial's end of a NoisyLine."""

from __future__ import annotations

import select
import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import serial

from edgeprof.workers.emulated.child import ChildSerial
from tests.support.noisy_line import LINES


class Serial(ChildSerial):
    """What is written and read passes through the line's noise."""

    def open(self) -> None:
        """Connect to the line of that name."""
        self._line = LINES[urlsplit(str(self.portstr)).netloc]
        self._socket = self._line.connect()
        self._arrived = bytearray()
        self.is_open = True

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Never asked: the line has started its board."""
        raise NotImplementedError

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # as ChildSerial
        """Send `data`, or what the noise leaves of it."""
        super().write(self._line.to_board.spoil(bytes(data)))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """Read `size` bytes, or what came before the timeout."""
        sock = self._connected()
        deadline = time.monotonic() + (self.timeout or 0)
        while len(self._arrived) < size:
            ready, _, _ = select.select([sock], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                break
            chunk = sock.recv(65536)
            if not chunk:
                raise serial.SerialException("the board's process has ended")
            self._arrived += self._line.to_host.spoil(chunk)
        taken = bytes(self._arrived[:size])
        del self._arrived[:size]
        return taken
