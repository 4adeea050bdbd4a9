"""`edgeprof scheduler`."""

from __future__ import annotations

import signal
import threading

from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared import logs
from edgeprof.shared.settings import load_settings


def scheduler() -> None:
    """Run the custodian: requeue lost jobs, ring lost bells, archive results. Until Ctrl-C.

    Example: EDGEPROF_REDIS_URL=redis://lab:6379/0 edgeprof scheduler
    """
    settings = load_settings()
    logs.configure(settings, "edgeprof-scheduler")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Archive.open(settings) as archive:
        run_scheduler(settings, archive.save, stop)
