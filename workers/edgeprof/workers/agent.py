"""The host agent: one supervised worker process for each board of this machine."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import Final

from edgeprof.shared.settings import Settings
from edgeprof.workers.config import BoardConfig
from edgeprof.workers.supervisor import Supervised

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
        environment = settings.as_environment()
        self._workers = [
            Supervised(
                str(board),
                [*worker_command, board.model_dump_json()],
                environment,
            )
            for board in boards
        ]

    def run(self) -> None:
        """Start the workers and keep them alive until SIGTERM, Ctrl-C or stop()."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stop())
        log.info("%d board(s): %s", len(self._workers), ", ".join(w.name for w in self._workers))
        try:
            while not self._stop.wait(_TICK_S):
                for worker in self._workers:
                    worker.tend()
        finally:
            self._stop_workers()

    def stop(self) -> None:
        """Ask run() to stop the workers and return."""
        self._stop.set()

    def _stop_workers(self) -> None:
        log.info("stopping; a running job has %.0f s", self._settings.stop_grace_s)
        for worker in self._workers:
            worker.terminate()
        deadline_s = time.monotonic() + self._settings.stop_grace_s + _STOP_MARGIN_S
        for worker in self._workers:
            worker.wait(deadline_s)
