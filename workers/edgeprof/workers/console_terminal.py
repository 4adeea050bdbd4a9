"""A terminal on an open serial port: pyserial's miniterm, with an end that works everywhere."""

from __future__ import annotations

import codecs
import os
import select
from collections import deque
from contextlib import suppress
from typing import Any, Final

import serial
from serial.tools import miniterm

from edgeprof.shared.errors import LinkFault
from edgeprof.workers.link.port_faults import words

#: Ctrl-]
_LEAVE: Final = "\x1d"
#: How long a handler that cannot be interrupted waits for a byte.
_READ_S: Final = 0.2


class Terminal(miniterm.Miniterm):
    """Keys go to the board, and what it sends to the screen, until Ctrl-] or leave()."""

    def __init__(self, port: serial.SerialBase, *, raw: bool) -> None:
        """raw: what the board sends may also command the terminal: colours, the cursor."""
        given: Any = port
        given.timeout = None if hasattr(port, "cancel_read") else _READ_S
        super().__init__(given, filters=() if raw else ("default",))
        self.console: Keyboard = Keyboard()
        self.set_rx_encoding("utf-8")
        self.set_tx_encoding("utf-8")
        self._broken: Exception | None = None

    def run(self, url: str) -> None:
        """Return when the person leaves. Raises LinkFault when the port is gone."""
        self.start()
        try:
            self.join()
        finally:
            self.console.cleanup()
        if self._broken is not None:
            raise LinkFault(f"{url}: the port is gone: {words(self._broken)}", code="port_gone")

    def leave(self) -> None:
        """End run(); any thread may call this."""
        self.stop()
        self.console.cancel()

    def dump_port_settings(self) -> None:
        """Show rates and control lines, on Ctrl-T Ctrl-I; not every kind of port has such."""
        with suppress(AttributeError):
            super().dump_port_settings()

    def reader(self) -> None:
        """Show what the board sends. Called by miniterm, in a thread."""
        self._guarded(super().reader)

    def writer(self) -> None:
        """Send what is typed. Called by miniterm, in a thread."""
        self._guarded(super().writer)

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handlers raise what they like
            self._broken = self._broken or error
            self.leave()


class Keyboard(miniterm.Console):
    """The keys of this terminal. miniterm's own cannot be interrupted since Linux 6.2."""

    def __init__(self) -> None:
        super().__init__()
        self._cancelled, self._cancel = os.pipe()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._keys: deque[str] = deque()

    def getkey(self) -> str:  # type: ignore[override]  # its stub says None
        """Return the next character; Ctrl-] when nobody can type any more."""
        while not self._keys:
            ready, _, _ = select.select([self.fd, self._cancelled], [], [])
            typed = b"" if self._cancelled in ready else os.read(self.fd, 1024)
            self._keys.extend(self._decoder.decode(typed) if typed else _LEAVE)
        key = self._keys.popleft()
        return "\b" if key == "\x7f" else key

    def cancel(self) -> None:
        """Have getkey() return."""
        os.write(self._cancel, b"\0")
