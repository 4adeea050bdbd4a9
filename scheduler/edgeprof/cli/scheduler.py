"""The command `edgeprof scheduler`."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Final

from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.archive.retention import Retention
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared import own_folders
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.url import masked
from edgeprof.shared.settings import load_settings
from edgeprof.shared.telemetry import logs
from edgeprof.shared.vital_threads import end_within

log = logging.getLogger(__name__)

#: How long a stop may take: a stalled Redis or archive can delay it. The leader's lock runs out.
_STOP_LIMIT_S: Final = 4.0


def scheduler() -> None:
    """Run the custodian: requeue lost jobs, repeat lost doorbells, archive results. Until Ctrl-C.

    Example: EDGEPROF_REDIS_URL=redis://lab:6379/0 edgeprof scheduler
    """
    settings = load_settings()
    own_folders.start_service(settings)
    logs.configure(settings, "edgeprof-scheduler")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _stop(stop))
    with Archive.open(settings) as archive:
        log.info("custodian of %s", masked(redis_server.locate(settings).url))
        retention = Retention(archive, settings.archive_keep_days)
        run_scheduler(settings, archive.save, stop, retention, archive.holds, archive)


def _stop(stop: threading.Event) -> None:
    if not stop.is_set():
        end_within(_STOP_LIMIT_S)
    stop.set()
