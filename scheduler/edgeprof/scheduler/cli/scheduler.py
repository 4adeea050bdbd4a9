"""`edgeprof scheduler`."""

from __future__ import annotations

import logging
import signal
import threading

from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.archive.retention import Retention
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared import logs, redis_server
from edgeprof.shared.redis_url import masked
from edgeprof.shared.settings import load_settings

log = logging.getLogger(__name__)


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
        log.info("custodian of %s", masked(redis_server.locate(settings).url))
        retention = Retention(archive, settings.archive_keep_days)
        run_scheduler(settings, archive.save, stop, retention)
