"""How a worker's process ends: gracefully after a signal, or at once when its board is lost."""

from __future__ import annotations

import threading
from collections.abc import Callable

from edgeprof.shared.vital_threads import end_within
from edgeprof.workers.worker import celery_hooks
from edgeprof.workers.worker.process import STOP_MARGIN_S

#: How long before the agent's SIGKILL a worker ends itself, with locks, port and log in order.
_BEFORE_THE_KILL_S = 0.4


class Shutdown:
    """The end of one worker, seen by all its threads."""

    def __init__(self, stop_grace_s: float) -> None:
        self._stop_grace_s = stop_grace_s
        #: The process is to end. It claims no job any more; a running one has its grace.
        self.leaving = threading.Event()
        #: The grace is over: a running job goes back to its queue now.
        self.hand_back = threading.Event()
        #: The lab is to hear nothing more of the board.
        self.silent = threading.Event()
        self.exit_code = 0
        #: Why the board leaves, in the lab's words.
        self.reason = "its worker stopped"

    def leave(self) -> None:
        """End gracefully: give a running job its grace, then hand it back. Again is harmless."""
        if self.leaving.is_set():
            return
        self.leaving.set()
        end_within(self._stop_grace_s + STOP_MARGIN_S - _BEFORE_THE_KILL_S)
        grace = threading.Timer(self._stop_grace_s, self.hand_back.set)
        grace.daemon = True
        grace.start()

    def end(self, exit_code: int, reason: str, withdraw: Callable[[str], None]) -> None:
        """End now. The board is withdrawn at once, because Celery takes seconds to leave."""
        self.exit_code = exit_code
        self.reason = reason
        self.silent.set()
        withdraw(reason)
        self.leaving.set()
        celery_hooks.stop_loop()
