"""The host agent: a supervised worker process for each board, one metrics endpoint for all."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import MAX_WAITING, HostInfo, WaitingPort
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_gate import Gate
from edgeprof.shared.vital_threads import end_within
from edgeprof.workers.board.config import BoardConfig, Boards
from edgeprof.workers.host.announcer import Announcer
from edgeprof.workers.host.discovery import SeenPorts, Watcher
from edgeprof.workers.host.forked import Forked, ForkServer
from edgeprof.workers.host.supervisor import Supervised
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import SessionMetrics
from edgeprof.workers.metrics.telemetry import Receiver
from edgeprof.workers.worker.process import STOP_MARGIN_S

log = logging.getLogger(__name__)

#: The command of a worker, and of a fork server of workers; the last argument is missing.
WORKER_COMMAND: Final = (sys.executable, "-m", "edgeprof.workers.worker")

_TICK_S = 0.1


class _Driven:
    """A board's worker process, and the socket on which it sends what the agent counts."""

    def __init__(
        self,
        board: BoardConfig,
        fork_server: ForkServer,
        settings: Settings,
        receiver: Receiver,
        seen: SeenPorts,
    ) -> None:
        self.receiver = receiver
        config = board.model_dump_json()

        def start(last_code: int | None) -> Forked:
            return fork_server.start(config, last_code, receiver.worker_fd)

        def retry_after_s(tries: int) -> float:
            return seen.retry_after_s(board.port, tries, settings.port_look_s)

        self.worker = Supervised(
            str(board),
            start,
            on_end=receiver.worker_ended,
            retry_after_s=retry_after_s if board.watched else None,
        )

    def stop(self, deadline_s: float) -> None:
        self.worker.wait(deadline_s)
        self.receiver.close()


class Agent:
    """The agent of one host. A board that is absent is waited for by its worker."""

    def __init__(
        self,
        boards: Boards,
        settings: Settings,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._boards = boards
        self._settings = settings
        self._fork_server = ForkServer(worker_command, settings.as_environment())
        self._stop = threading.Event()
        self._sessions, self._devices = CollectorRegistry(), CollectorRegistry()
        self._metrics = (
            SessionMetrics(self._sessions, settings.low_throughput_of),
            DeviceMetrics(self._devices, settings.temperature_limit_c),
        )
        self._watcher = Watcher(boards)
        self._seen = SeenPorts(settings.data_dir / "ports-seen")
        self._driven: dict[str, _Driven] = {}
        for board in boards.fixed:
            self._drive(board)

    def run(self) -> None:
        """Start the workers and keep them alive until SIGTERM, Ctrl-C or stop()."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._told_to_stop())
        if self._driven:
            log.info("%d board(s): %s", len(self._driven), ", ".join(self._driven))
        if self._boards.watch:
            log.info("watching %s for boards", ", ".join(self._boards.watch))
        with ExitStack() as stack:
            stack.callback(self._fork_server.close)
            with suppress(OSError):  # it is tried again with each worker
                self._fork_server.launch()  # imports while the agent connects
            self._serve(stack)
            stack.callback(self._stop_workers)
            while not self._stop.is_set():
                self._follow_ports()
                for driven in self._driven.values():
                    driven.worker.tend()
                self._listen()

    def stop(self) -> None:
        """Ask run() to stop the workers and return."""
        self._stop.set()

    def _told_to_stop(self) -> None:
        if not self._stop.is_set():
            # The workers end first; then Redis may hold up the last announcement.
            end_within(self._settings.stop_grace_s + STOP_MARGIN_S + 0.4)
        self.stop()

    def _drive(self, board: BoardConfig) -> None:
        receiver = Receiver(*self._metrics)
        self._driven[board.port] = _Driven(
            board, self._fork_server, self._settings, receiver, self._seen
        )

    def _follow_ports(self) -> None:
        """Start a worker for each new port; forget a port that is gone once its worker ended."""
        there = self._watcher.ports()
        for port in sorted(there - self._driven.keys()):
            log.info("%s was plugged in", port)
            self._drive(self._boards.found_at(port))
        fixed = {board.port for board in self._boards.fixed}
        for port in sorted(self._driven.keys() - there - fixed):
            worker = self._driven[port].worker
            worker.retire()
            if worker.pid is None:
                log.info("%s was unplugged", port)
                self._driven.pop(port).receiver.close()

    def _serve(self, stack: ExitStack) -> None:
        settings = self._settings
        address = settings.advertised_address
        bind, gate = settings.metrics_bind, Gate.of(settings)
        sessions = Endpoint(self._sessions, bind, settings.metrics_port, gate=gate)
        stack.callback(sessions.close)
        devices = Endpoint(self._devices, bind, settings.device_metrics_port, gate=gate)
        stack.callback(devices.close)
        info = HostInfo(
            host=settings.host,
            pid=os.getpid(),
            sessions_address=f"{address}:{sessions.port}",
            devices_address=f"{address}:{devices.port}",
            machine=_machine(),
        )
        log.info(
            "metrics: sessions http://%s/metrics, devices http://%s/metrics",
            info.sessions_address,
            info.devices_address,
        )
        stack.enter_context(
            Announcer(settings, lambda: info.model_copy(update={"waiting": self._waiting()}))
        )

    def _waiting(self) -> tuple[WaitingPort, ...]:
        """Return the ports where no board has answered yet; the announcer's thread calls this."""
        driven = list(self._driven.items())
        found = [
            WaitingPort(port=one_line(port, 1024), reason=each.receiver.waiting)
            for port, each in driven
            if each.receiver.waiting
        ]
        seen = {each.receiver.uid for _, each in driven}
        found += [
            WaitingPort(port=board.id or f"uid {board.uid}", reason="not seen on any watched port")
            for board in self._boards.board
            if board.url is None and board.uid not in seen
        ]
        return tuple(found[:MAX_WAITING])

    def _listen(self) -> None:
        """Receive what workers send, for the length of a tick at most."""
        receivers = {port: driven.receiver for port, driven in self._driven.items()}
        sockets = [r.socket for r in receivers.values()]
        ready, _, _ = select.select([*sockets, *self._fork_server.sockets], [], [], _TICK_S)
        for port, receiver in receivers.items():
            if receiver.socket in ready:
                receiver.drain()
                if receiver.board_seen and port in self._watcher.ports():
                    self._seen.note(port)

    def _stop_workers(self) -> None:
        log.info("stopping; a running job has %.0f s", self._settings.stop_grace_s)
        for driven in self._driven.values():
            driven.worker.terminate()
        deadline_s = time.monotonic() + self._settings.stop_grace_s + STOP_MARGIN_S
        for driven in self._driven.values():
            driven.stop(deadline_s)


def _machine() -> str:
    """Return the machine's id of systemd; "" where there is none, as in most containers."""
    with suppress(OSError):
        return Path("/etc/machine-id").read_text().strip()
    return ""
