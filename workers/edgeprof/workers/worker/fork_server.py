"""The fork server: a process that has imported what workers need, and forks one for each board.

A host agent starts one, so that its workers share the memory of what was imported
(docs/decisions/0021-workers-are-forked.md). It has no threads and no connections, and holds nothing
of a board. Its children are its workers; it ends when its agent does, and they end with it.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import select
import signal
import socket
from ctypes import c_char
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from edgeprof.shared.types.wire import WireModel
from edgeprof.workers.metrics.telemetry import FD_VARIABLE
from edgeprof.workers.worker.preload import preload
from edgeprof.workers.worker.process import (
    LAST_END_VARIABLE,
    PARENT_PID_VARIABLE,
    end_with_parent,
)

#: Tells a fork server the inherited descriptor of its agent's orders.
ORDERS_FD_VARIABLE: Final = "EDGEPROF_FORK_SERVER_FD"

#: The only argument of a fork server. A worker overwrites it with its configuration, so that `ps`
#: shows which board a process drives.
PLACE_FOR_CONFIG: Final = " " * 1024

#: No order or report is larger.
LARGEST_BYTES: Final = 1 << 16

#: The agent decides when workers end, also when a whole process group is told to.
_LEFT_TO_THE_AGENT: Final = {signal.SIGTERM, signal.SIGINT}


class Start(WireModel):
    """Fork a worker; the descriptor of its telemetry comes with this order."""

    kind: Literal["start"] = "start"
    number: int
    config: str
    #: The exit code of the board's worker before this one.
    last_code: int | None


class Signal(WireModel):
    """Send a worker a signal, unless it has ended."""

    kind: Literal["signal"] = "signal"
    number: int
    signal: int


Order = Start | Signal
ORDER: Final[TypeAdapter[Order]] = TypeAdapter(Annotated[Order, Field(discriminator="kind")])


class Started(WireModel):
    """The worker runs."""

    kind: Literal["started"] = "started"
    number: int
    pid: int


class NotStarted(WireModel):
    """The kernel refused to fork: too little memory, or too many processes."""

    kind: Literal["not started"] = "not started"
    number: int
    why: str


class Ended(WireModel):
    """The worker has ended; the code is negative after a signal, as subprocess has it."""

    kind: Literal["ended"] = "ended"
    number: int
    code: int


Report = Started | NotStarted | Ended
REPORT: Final[TypeAdapter[Report]] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def next_worker() -> str | None:
    """Fork workers as the agent orders; returns only in a worker, with its configuration.

    Returns None in the fork server itself, when its agent is gone.
    """
    preload()
    gc.collect()
    gc.freeze()  # a collection writes to each object that it looks at, and a written page is copied
    end_with_parent(signal.SIGKILL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_THE_AGENT)
    os.environ[PARENT_PID_VARIABLE] = str(os.getpid())
    server = _ForkServer(socket.socket(fileno=int(os.environ.pop(ORDERS_FD_VARIABLE))))
    try:
        return server.run()
    finally:
        server.close()


class _ForkServer:
    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._ends, self._wake = socket.socketpair()
        self._workers: dict[int, int] = {}  # number -> pid
        for end in (self._ends, self._wake):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for sock in (self._orders, self._ends, self._wake):
            sock.close()

    def run(self) -> str | None:
        while True:
            ready, _, _ = select.select([self._orders, self._ends], [], [])
            if self._ends in ready:
                self._ends.recv(LARGEST_BYTES)
                self._report_ends()
            if self._orders not in ready:
                continue
            data, fds, _, _ = socket.recv_fds(self._orders, LARGEST_BYTES, 1)
            if not data:
                return None
            order = ORDER.validate_json(data)
            if isinstance(order, Start):
                with contextlib.ExitStack() as received:
                    for fd in fds:
                        received.callback(os.close, fd)
                    if self._fork(order):
                        received.pop_all()
                        _become_worker(order, *fds)
                        return order.config
            elif order.number in self._workers:
                os.kill(self._workers[order.number], order.signal)

    def _fork(self, order: Start) -> bool:
        """Fork; True in the worker."""
        try:
            pid = os.fork()
        except OSError as error:
            self._report(NotStarted(number=order.number, why=str(error.strerror)))
            return False
        if pid == 0:
            return True
        self._workers[order.number] = pid
        self._report(Started(number=order.number, pid=pid))
        return False

    def _report_ends(self) -> None:
        numbers = {pid: number for number, pid in self._workers.items()}
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                if (number := numbers.get(pid)) is not None:
                    del self._workers[number]
                    self._report(Ended(number=number, code=os.waitstatus_to_exitcode(status)))

    def _report(self, report: Report) -> None:
        with contextlib.suppress(OSError):  # the agent is gone, which the next order shows
            self._orders.send(report.model_dump_json().encode())


def _become_worker(order: Start, telemetry_fd: int) -> None:
    """Make this fork what a process started for one worker would be."""
    os.setsid()  # Ctrl-C is for the agent, which then stops the workers
    os.set_inheritable(telemetry_fd, False)
    os.environ[FD_VARIABLE] = str(telemetry_fd)
    if order.last_code is not None:
        os.environ[LAST_END_VARIABLE] = str(order.last_code)
    _show(order.config)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _LEFT_TO_THE_AGENT)


def _show(config: str) -> None:
    """Put the configuration where `ps` looks for this process' last argument."""
    fields = re.sub(r".*\) ", "", Path("/proc/self/stat").read_text(), flags=re.DOTALL).split()
    end = int(fields[46])  # arg_end of proc(5), counted from `state`
    if end < len(PLACE_FOR_CONFIG):
        return  # the kernel keeps it to itself
    place = (c_char * len(PLACE_FOR_CONFIG)).from_address(end - len(PLACE_FOR_CONFIG) - 1)
    if place.raw == PLACE_FOR_CONFIG.encode():
        place.raw = config.encode()[: len(place)].ljust(len(place), b"\0")
