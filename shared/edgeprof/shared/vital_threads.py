"""How a process of ours ends when a part of it cannot go on: at once, and as a whole.

A process with a dead thread looks alive and does half its work: a board worker without its heartbeat is shown as
offline and takes jobs all the same. All our processes are crash-only, so ending is safe and what supervises them
(the agent, systemd) starts them again.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

#: EX_SOFTWARE of sysexits.
EXIT_THREAD_DIED: Final = 70


def vital_thread(
    target: Callable[[], object], name: str, may_end: Callable[[], bool]
) -> threading.Thread:
    """Make a daemon thread, not started, whose end is the process's, by an exception or without one.

    may_end says whether the thread was to end; that is asked when it has.
    """

    def run() -> None:
        try:
            target()
            if not may_end():
                raise RuntimeError("it returned, and nobody had told it to")  # noqa: TRY301
        except BaseException:
            log.critical("thread %s died; so does this process", name, exc_info=True)
            _end(EXIT_THREAD_DIED)

    return threading.Thread(target=run, name=name, daemon=True)


def end_within(seconds: float) -> None:
    """Let this process be gone in so many seconds, whatever its threads wait for then.

    Called when it was told to stop: Redis may be stalled, and a board may hold up its link. What would
    have been written is found by others: a lease runs out, a lock is let go by the kernel.
    """

    def late() -> None:
        log.warning("still not stopped after %g s; leaving all the same", seconds)
        _end(0)  # it was told to stop, and does

    timer = threading.Timer(seconds, late)
    timer.daemon = True
    timer.start()


def _end(code: int) -> None:
    logging.shutdown()
    os._exit(code)
