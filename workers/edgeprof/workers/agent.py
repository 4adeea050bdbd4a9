"""The host agent: one supervised worker process for each board of this machine, one metrics endpoint for all."""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Final

from prometheus_client import CollectorRegistry

from edgeprof.shared.metrics.devices import DeviceMetrics
from edgeprof.shared.metrics.endpoint import Endpoint
from edgeprof.shared.metrics.sessions import SessionMetrics
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.workers.announcer import Announcer
from edgeprof.workers.config import BoardConfig
from edgeprof.workers.supervisor import Supervised
from edgeprof.workers.telemetry import FD_VARIABLE, Receiver

log = logging.getLogger(__name__)

#: Started with a board's configuration as the last argument.
WORKER_COMMAND: Final = (sys.executable, "-m", "edgeprof.workers.board_worker")

_TICK_S = 0.1
#: Beyond the grace of a running job: handing it back, saying goodbye, Celery's own way out.
_STOP_MARGIN_S = 10.0


class Agent:
    """Runs until told to stop. A board that is absent is its worker's business: it waits."""

    def __init__(
        self,
        boards: Sequence[BoardConfig],
        settings: Settings,
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._settings = settings
        self._stop = threading.Event()
        self._sessions, self._devices = CollectorRegistry(), CollectorRegistry()
        sessions = SessionMetrics(self._sessions, settings.low_throughput_of)
        devices = DeviceMetrics(self._devices)
        self._receivers = [Receiver(sessions, devices) for _ in boards]
        self._workers = [
            Supervised(
                str(board),
                [*worker_command, board.model_dump_json()],
                settings.as_environment() | {FD_VARIABLE: str(receiver.worker_fd)},
                pass_fds=(receiver.worker_fd,),
                on_end=receiver.worker_ended,
            )
            for board, receiver in zip(boards, self._receivers, strict=True)
        ]

    def run(self) -> None:
        """Start the workers and keep them alive until SIGTERM, Ctrl-C or stop()."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        log.info("%d board(s): %s", len(self._workers), ", ".join(w.name for w in self._workers))
        with ExitStack() as stack:
            self._serve(stack)
            for receiver in self._receivers:
                stack.callback(receiver.close)
            stack.callback(self._stop_workers)
            while not self._stop.is_set():
                for worker in self._workers:
                    worker.tend()
                self._listen()

    def stop(self) -> None:
        """Ask run() to stop the workers and return."""
        self._stop.set()

    def _serve(self, stack: ExitStack) -> None:
        settings = self._settings
        address = settings.advertised_address
        sessions = Endpoint(self._sessions, settings.metrics_bind, settings.metrics_port)
        stack.callback(sessions.close)
        devices = Endpoint(self._devices, settings.metrics_bind, settings.device_metrics_port)
        stack.callback(devices.close)
        info = HostInfo(
            host=settings.host,
            pid=os.getpid(),
            sessions_address=f"{address}:{sessions.port}",
            devices_address=f"{address}:{devices.port}",
        )
        log.info(
            "metrics: sessions http://%s/metrics, devices http://%s/metrics",
            info.sessions_address,
            info.devices_address,
        )
        stack.enter_context(Announcer(settings, info))

    def _listen(self) -> None:
        """Take in what workers tell, for the length of a tick at most."""
        ready, _, _ = select.select([r.socket for r in self._receivers], [], [], _TICK_S)
        for receiver in self._receivers:
            if receiver.socket in ready:
                receiver.drain()

    def _stop_workers(self) -> None:
        log.info("stopping; a running job has %.0f s", self._settings.stop_grace_s)
        for worker in self._workers:
            worker.terminate()
        deadline_s = time.monotonic() + self._settings.stop_grace_s + _STOP_MARGIN_S
        for worker in self._workers:
            worker.wait(deadline_s)
