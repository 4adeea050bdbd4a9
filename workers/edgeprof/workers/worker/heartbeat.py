"""The heartbeat of a board's worker: what is done every few seconds, whether or not a job runs.

Each beat announces the board, looks whether it is still there, and does what the lab wants of it:
a released port, a cordon, a blinking LED, other firmware.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Final

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import BoardClash
from edgeprof.shared.types.board import BoardState
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.worker.consumer import Consumer
from edgeprof.workers.worker.cordon import Cordon
from edgeprof.workers.worker.free_memory import give_back
from edgeprof.workers.worker.process import EXIT_BOARD_GONE, EXIT_NO_DOORBELLS
from edgeprof.workers.worker.requests import Requests
from edgeprof.workers.worker.shutdown import Shutdown

log = logging.getLogger(__name__)

#: How often the port is looked at: a board is to be shown as offline within 2 s of being unplugged.
_PORT_INTERVAL_S: Final = 0.5

_PORT_IS_BACK: Final = "its port was taken back, and it is opened anew"

#: Ends the worker with an exit code and a reason for the lab; "" stands for a silent board.
End = Callable[[int, str], None]


class Heartbeat:
    """The thread that beats for one board until the worker ends."""

    def __init__(
        self,
        worker_board: WorkerBoard,
        consumer: Consumer,
        cordon: Cordon,
        shutdown: Shutdown,
        settings: Settings,
        end: End,
    ) -> None:
        self._worker_board = worker_board
        self._consumer = consumer
        self._cordon = cordon
        self._shutdown = shutdown
        self._interval_s = min(settings.board_ttl_s / 3, settings.probe_interval_s)
        self._end = end
        self._requests = Requests(worker_board, settings, shutdown.leaving)
        #: Whether a person may have asked something of the board.
        self._may_be_asked = True

    def run(self) -> None:
        """Beat until the worker is silent, or ends because of what a beat found."""
        while self._pause():
            try:
                if not self._beat():
                    return
            except BoardClash as clash:
                log.error("%s", clash)  # noqa: TRY400 - a user's trouble, not a bug of ours
                self._end(EXIT_BOARD_GONE, "")
                return

    def _pause(self) -> bool:
        """Wait until the next beat, or until the port is gone; False: nothing more is announced."""
        until_s = time.monotonic() + self._interval_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._shutdown.silent.wait(min(left_s, _PORT_INTERVAL_S)):
                return False
            if self._worker_board.unplugged():
                break
        return True

    def _beat(self) -> bool:
        """Do what is due; False: the worker ends. Raises BoardClash."""
        worker_board = self._worker_board
        if worker_board.unplugged() and worker_board.info.job_id is not None:
            worker_board.ownership.announce_unplugged()  # the job finds out by itself, and ends
            return True
        if self._shutdown.leaving.is_set():
            info = worker_board.info
            worker_board.ownership.announce(BoardState.DRAINING, info.job_id, info.job_user)
            return True
        if worker_board.ownership.beat():
            self._cordon.look_again()
            self._may_be_asked = True
        if not self._apply_port_request():
            # Another program has used the board, so a new process asks anew what the board is.
            self._end(EXIT_BOARD_GONE, _PORT_IS_BACK)
            return False
        if not worker_board.port_released and not (worker_board.probe() and self._cordon.apply()):
            self._end(EXIT_BOARD_GONE, "")
            return False
        if why := self._consumer.out_of_reach():
            # A board that looks alive and gets no doorbell would keep its jobs waiting.
            log.error("board %s gets no doorbells: %s", worker_board.config, why)
            self._end(EXIT_NO_DOORBELLS, f"it gets no doorbells: {why}")
            return False
        self._consumer.events.flush()
        self._do_what_was_asked()
        if worker_board.info.job_id is None:
            give_back()
        return True

    def _apply_port_request(self) -> bool:
        """Close the port when somebody wants it; False: it is closed and not wanted any more."""
        worker_board = self._worker_board
        cordons = self._cordon.now()
        if cordons is None:
            return True
        wanted = cordons.release_port
        if wanted:
            self._consumer.expect_silence()
        if wanted and not worker_board.port_released:
            self._consumer.consume_only([])
            if worker_board.release_port():  # not while a job has the board
                worker_board.ownership.announce()
        return wanted or not worker_board.port_released

    def _do_what_was_asked(self) -> None:
        """Do what a person may have asked for, and answer."""
        if not self._may_be_asked:
            return
        with contextlib.suppress(InfrastructureError):
            self._may_be_asked = not self._requests.look()
