"""Hands finished jobs to the results archive, and notices an archive that has lost them.

The archive itself (archive/archive.py) writes SQL. The list of jobs that wait for it is in the
store (shared/store/maintenance.py). The custodian calls archive() at each tick.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.types.result import JobView

log = logging.getLogger(__name__)

#: Archives finished jobs for good: returns once they are safe, or raises.
SaveJobs = Callable[[Sequence[JobView]], None]

#: Returns whether the archive holds all of these jobs. Raises InfrastructureError.
HoldsJobs = Callable[[Collection[str]], bool]

_BATCH = 100
#: How far clocks may differ. A job this close to its deletion date does not count as lost.
_CLOCK_TOLERANCE_S = 3600.0
_DAY_S = 86400.0
#: A backlog that has not shrunk for so long needs a person.
_BACKLOG_PATIENCE_S = 60.0


class Archiver:
    """One scheduler's way to its archive."""

    def __init__(
        self,
        store: LabStore,
        settings: Settings,
        metrics: CustodianMetrics,
        save: SaveJobs | None,
        holds: HoldsJobs | None,
    ) -> None:
        """Without `save` nothing is archived; without `holds` a lost archive is not noticed."""
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._save = save
        self._holds = holds
        self._lost = False
        self._backlog = Backlog(_BACKLOG_PATIENCE_S)

    @property
    def trouble(self) -> str:
        """Why finished jobs are stuck without an exception; "" when none are stuck."""
        return self._backlog.trouble

    def start(self) -> None:
        """Try jobs again that an earlier archive could not store. Raises InfrastructureError."""
        if self._save is not None and (again := self._store.maintenance.retry_unreadable()):
            log.info("retrying %d job(s) that an earlier archive could not store", again)

    def archive(self) -> None:
        """Archive finished jobs, and those that an archive has lost.

        Raises what the archive raises when it cannot be used, and the metric shows it.
        """
        try:
            self._check_for_loss()
            if self._store.maintenance.unarchived_count():
                self._archive_finished()
                self._archive_lost()
            else:
                self._backlog.look(0)
                self._none_lost()
        except Exception:
            self._metrics.archive_used(well=False)
            raise
        self._metrics.archive_used(well=True)

    def _check_for_loss(self) -> None:
        """Notice an archive that lacks archived jobs: deleted, emptied, replaced or restored."""
        if self._holds is None:
            return
        ends = self._store.maintenance.archived_ends()
        if (keep_days := self._settings.archive_keep_days) is not None:
            deleted_s = time.time() - keep_days * _DAY_S + _CLOCK_TOLERANCE_S
            ends = {job_id: at_s for job_id, at_s in ends.items() if at_s > deleted_s}
        if not ends or self._holds(ends):
            return
        lost = self._store.maintenance.archive_lost()
        if lost and not self._lost:
            log.warning(
                "the results archive has lost jobs (it was deleted, emptied or replaced):"
                " the %d that are still in Redis are archived again",
                lost,
            )
        self._lost = True

    def _archive_lost(self) -> None:
        """Archive one batch of the lost jobs. All at once would delay the tick."""
        if self._save is None or not (job_ids := self._store.maintenance.rearchivable(_BATCH)):
            self._none_lost()
            return
        self._lost = True
        self._hand_over(job_ids, "archived_again")

    def _none_lost(self) -> None:
        if self._lost:
            self._lost = False
            log.info("the results archive holds all jobs again that are in Redis")

    def _archive_finished(self) -> None:
        """Archive finished jobs; when the archive fails, they wait for the next tick."""
        if self._save is None:
            return
        maintenance = self._store.maintenance
        while job_ids := maintenance.unarchived(_BATCH):
            saved = self._hand_over(job_ids, "archived")
            boards = self._store.boards.all()
            self._metrics.finished(saved, {board.device_id: board.platform for board in boards})
            if len(job_ids) < _BATCH:
                break
        self._backlog.look(maintenance.unarchived_count())

    def _hand_over(self, job_ids: Sequence[str], action: str) -> Sequence[JobView]:
        """Archive these jobs and note it in the store; returns those that were archived.

        The others can never be archived: they are put aside, so that they hold up no other job.
        """
        saved = self._save_each(self._store.jobs.views(job_ids))
        saved_ids = [view.id for view in saved]
        self._store.maintenance.archived(saved_ids, self._settings.result_ttl_s)
        self._store.maintenance.unreadable(sorted(set(job_ids) - set(saved_ids)))
        self._metrics.acted(action, len(saved))
        return saved

    def _save_each(self, views: Sequence[JobView]) -> Sequence[JobView]:
        """Save what can be saved, and return that. Raises InfrastructureError of the archive."""
        assert self._save is not None
        try:
            self._save(views)
        except InfrastructureError:
            raise
        except Exception as error:  # noqa: BLE001 - a database raises anything for one job's values
            if len(views) == 1:
                cause = one_line(str(error), 200)
                job_id = views[0].id
                with bound_job(job_id, self._store.jobs.traceparents([job_id])[job_id]):
                    log.warning("job %s cannot be archived, and is put aside: %s", job_id, cause)
                return []
            return [view for each in views for view in self._save_each([each])]
        return views


class Backlog:
    """Tells a backlog of finished jobs that shrinks from one that does not."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._least = 0
        self._since_s = time.monotonic()
        self.trouble = ""

    def look(self, waiting: int) -> None:
        """Record how many jobs wait. Sets `trouble` when the number has not fallen for too long."""
        now_s = time.monotonic()
        if waiting == 0 or waiting < self._least or self._least == 0:
            self._least, self._since_s = waiting, now_s
        still_s = now_s - self._since_s
        self.trouble = ""
        if still_s >= self._patience_s:
            self.trouble = "finished jobs wait for the archive, and become no fewer"
