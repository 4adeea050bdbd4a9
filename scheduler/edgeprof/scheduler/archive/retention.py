"""Deletes what the results archive has kept for long enough (EDGEPROF_ARCHIVE_KEEP_DAYS)."""

from __future__ import annotations

import logging
import time
from typing import Final

from edgeprof.scheduler.archive.archive import Archive

log = logging.getLogger(__name__)

#: Jobs deleted in one transaction: a large one would keep others from writing.
BATCH: Final = 200

#: Pause after a batch that left nothing to delete.
_PAUSE_S: Final = 600.0

_DAY_S: Final = 86400.0


class Retention:
    """Deletes one batch at most; the scheduler calls it at each tick."""

    def __init__(self, archive: Archive, keep_days: float | None) -> None:
        self._archive = archive
        self._keep_days = keep_days
        self._next_s = 0.0

    def __call__(self) -> None:
        """Delete a batch when one is due. Raises InfrastructureError; call again later."""
        if self._keep_days is None or time.monotonic() < self._next_s:
            return
        deleted = self._archive.forget(time.time() - self._keep_days * _DAY_S, BATCH)
        if deleted:
            log.info(
                "deleted %d job(s) older than %g days from the archive", deleted, self._keep_days
            )
        if deleted < BATCH:
            self._next_s = time.monotonic() + _PAUSE_S
