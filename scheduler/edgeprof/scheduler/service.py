"""`edgeprof scheduler`, without the command line: the custodian, for as long as it is wanted."""

from __future__ import annotations

import logging
import threading

from edgeprof.scheduler.custodian import Archive, Custodian
from edgeprof.shared.errors import EdgeprofError, InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore

log = logging.getLogger(__name__)


def run_scheduler(settings: Settings, archive: Archive | None, stop: threading.Event) -> None:
    """Tick until `stop` is set. Redis or the archive being away is waited out, and said once.

    Raises InfrastructureError or UsageError when Redis is not there at the start.
    """
    store = LabStore.open(settings)
    custodian = Custodian(store, settings, archive)
    said = ""
    try:
        while not stop.is_set():
            try:
                custodian.tick()
            except Exception as error:
                # Whatever it is (a bug in an archive, say), jobs must still be taken from the dead.
                if str(error) != said:
                    said = str(error)
                    ours = isinstance(error, EdgeprofError)
                    log.warning("custodian: %s; trying on", said, exc_info=not ours)
            else:
                if said:
                    log.warning("custodian: all is well again")
                said = ""
            stop.wait(settings.custodian_interval_s)
    finally:
        try:
            custodian.resign()
        except InfrastructureError as error:
            log.warning("custodian: not resigned, the lock runs out by itself: %s", error)
        store.close()
