"""An emulated board behind a TCP port. To unplug it, its process is killed."""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

_POLL_S: Final = 0.2


class Plug:
    """The firmware as a process that lives as long as a host has the port open.

    `native://` starts its board whenever it is opened, so such a board can crash but is never
    absent. This one is absent from the time its process is killed until it is plugged in again.
    """

    def __init__(
        self, name: str, firmware: Path, options: Sequence[str], replug_s: float | None = None
    ) -> None:
        """replug_s: seconds after which a pulled plug is put back by itself; None: by replug()."""
        self.name = name
        self._firmware = str(firmware)
        #: The board's arguments from the next start on.
        self.options = list(options)
        self._replug_s = replug_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._listener.getsockname()[1]
        self._board: subprocess.Popen[bytes] | None = None
        self._plugged = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._serve, name=f"plug:{name}", daemon=True)

    @property
    def url(self) -> str:
        """The URL of the board for a host agent."""
        return f"socket://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """The id of the board's process, or None while no host has it open."""
        board = self._board
        return board.pid if board is not None and board.poll() is None else None

    def __enter__(self) -> Self:
        self._plugged.set()
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        self._plugged.set()
        self.unplug()
        self._thread.join()

    def unplug(self) -> None:
        """Unplug the board, as `kill -9` of its process does."""
        if self._board is not None:
            self._board.kill()

    def replug(self) -> None:
        """Plug the board in again."""
        self._plugged.set()

    def _serve(self) -> None:
        while not self._closing.is_set():
            self._answer_until_pulled()
            self._listener.close()
            if not self._closing.is_set():
                self._plugged.clear()
                self._plugged.wait(self._replug_s)
                self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.close()

    def _answer_until_pulled(self) -> None:
        """Serve the board to one host after the other; return when it was killed."""
        self._listener.settimeout(_POLL_S)
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.setblocking(True)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                fd = connection.fileno()
                self._board = subprocess.Popen(
                    [self._firmware, *self.options, "--fd", str(fd)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=(fd,),
                )
            if self._board.wait() < 0:  # by a signal; it ends by itself when the host closes
                return
