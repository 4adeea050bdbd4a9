"""The agent's end of its fork server: workers are started, ended and waited for through it."""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Final

from edgeprof.workers.worker.fork_server import (
    LARGEST_BYTES,
    ORDERS_FD_VARIABLE,
    PLACE_FOR_CONFIG,
    REPORT,
    Ended,
    NotStarted,
    Order,
    Signal,
    Start,
    Started,
)

#: A process with threads must not fork, and numpy would start some. A worker has eight threads, and
#: one place to allocate from serves them all: Python lets one run at a time.
_ENVIRONMENT: Final = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}

#: How long a fork server may take to answer, while it imports on a host that swaps.
_ANSWER_S: Final = 60.0
#: How long it may take to end after it has closed its socket.
_END_S: Final = 5.0


class Forked:
    """A worker process, with those methods of subprocess.Popen that a supervisor uses."""

    def __init__(self, server: ForkServer, number: int) -> None:
        self._server = server
        self._number = number
        self.pid = 0
        self.code: int | None = None

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        self._server.read_reports()
        return self.code

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one. Raises subprocess.TimeoutExpired."""
        until_s = time.monotonic() + (float("inf") if timeout is None else timeout)
        while self.code is None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            self._server.read_reports(min(left_s, 1.0))
        return self.code

    def terminate(self) -> None:
        """Ask the process to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):  # the fork server is gone, and takes its workers along
            self._server.send(Signal(number=self._number, signal=number))


class ForkServer:
    """The fork server of one agent. One that has died is replaced when a worker is to be started.

    Use it from the main thread: the kernel ends the fork server with the thread that started it.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = [*command, PLACE_FOR_CONFIG]
        self._environment = {**os.environ, **_ENVIRONMENT, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._numbers = itertools.count(1)
        #: The running workers by their numbers.
        self._workers: dict[int, Forked] = {}
        self._not_started: dict[int, str] = {}

    @property
    def sockets(self) -> list[socket.socket]:
        """What becomes readable when there is a report."""
        return [self._socket] if self._socket else []

    def launch(self) -> None:
        """Start the fork server if there is none. Raises OSError."""
        if self._process is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as on_error:
            on_error.callback(ours.close)
            self._process = subprocess.Popen(
                self._command,
                env=self._environment | {ORDERS_FD_VARIABLE: str(theirs.fileno())},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is for the agent, which then stops the workers
            )
            on_error.pop_all()
        self._socket = ours

    def start(self, config: str, last_code: int | None, telemetry_fd: int) -> Forked:
        """Fork a worker. Raises OSError when the kernel refuses."""
        self.read_reports()
        self.launch()
        number = next(self._numbers)
        worker = Forked(self, number)
        self._workers[number] = worker
        try:
            self.send(Start(number=number, config=config, last_code=last_code), [telemetry_fd])
        except OSError:
            self._lost()
        until_s = time.monotonic() + _ANSWER_S
        while not worker.pid and worker.code is None:
            self.read_reports(max(0.0, until_s - time.monotonic()))
            if why := self._not_started.pop(number, ""):
                raise OSError(0, why)
            if time.monotonic() > until_s:
                self._lost()
        return worker

    def send(self, order: Order, fds: Sequence[int] = ()) -> None:
        """Send an order. Raises OSError when the fork server is gone."""
        if self._socket is None:
            raise OSError(0, "the fork server is gone")
        socket.send_fds(self._socket, [order.model_dump_json().encode()], fds)

    def read_reports(self, patience_s: float = 0.0) -> None:
        """Note what has become of workers; waits for the first report."""
        while self._socket is not None:
            if not select.select([self._socket], [], [], patience_s)[0]:
                return
            patience_s = 0.0
            data = b""
            with contextlib.suppress(ConnectionError):
                data = self._socket.recv(LARGEST_BYTES)
            if not data:
                self._lost()
                return
            report = REPORT.validate_json(data)
            match report:
                case Started():
                    self._workers[report.number].pid = report.pid
                case Ended():
                    self._workers.pop(report.number).code = report.code
                case NotStarted():
                    del self._workers[report.number]
                    self._not_started[report.number] = report.why

    def close(self) -> None:
        """End the fork server, once no worker is left."""
        if self._socket is not None:
            self._lost()

    def _lost(self) -> None:
        """Let go of a fork server that has ended or does not answer; its workers end with it."""
        assert self._socket is not None
        assert self._process is not None
        self._socket.close()
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._socket = self._process = None
        for worker in self._workers.values():
            worker.code = code
        self._workers.clear()
