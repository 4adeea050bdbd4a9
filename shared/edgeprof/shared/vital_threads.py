"""Ends a process of ours, at once and as a whole, when a part of it cannot go on.

A process with a dead thread looks alive and does half its work: a board worker without its
heartbeat is shown as offline and takes jobs all the same. All our processes are crash-only, so
ending is safe, and their supervisor (the agent, systemd) starts them again.
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
    """Make a daemon thread, not started yet; when it ends, so does the process.

    may_end is called when the thread has ended without an exception: True means that it was meant
    to.
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
    """End this process in so many seconds at the latest, whatever its threads wait for.

    It is called when the process was told to stop: Redis may be stalled, and a board may not
    answer. Unfinished work is recovered elsewhere: a lease runs out, the kernel drops a lock.
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
