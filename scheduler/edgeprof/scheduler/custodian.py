"""The custodian of a lab: it acts on jobs that are overdue, about once a second.

It requeues the jobs of silent workers, expires jobs that waited too long, sends lost doorbells again and
has finished jobs archived (archiver.py). Each action is one script of the store on Redis' clock
(shared/store/maintenance.py), and harmless when it is repeated. The leader lock only saves work when
several schedulers run; correctness does not rest on it.
"""

from __future__ import annotations

import logging
import os

from prometheus_client import CollectorRegistry
from redis.exceptions import LockError
from redis.lock import Lock

from edgeprof.scheduler.archiver import Archiver, HoldsJobs, SaveJobs
from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.queue import doorbell
from edgeprof.shared.queue.celery_app import KEY_PREFIX, PRIORITY_STEPS
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
<<<<<<< HEAD
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.types.result import JobView
=======
from edgeprof.shared.telemetry.about import about_job
>>>>>>> e2-sched
from edgeprof.shared.types.wire import is_name

log = logging.getLogger(__name__)

#: Jobs of one tick that are requeued or expired.
_BATCH = 100
#: Lines of one tick about jobs whose doorbells are sent again: after an outage they may be thousands.
_LINES = 5
_LEADER_TTL_S = 5.0


class Custodian:
    """One scheduler's custodian; tick() is called about once a second."""

    def __init__(
        self,
        store: LabStore,
        settings: Settings,
        save: SaveJobs | None = None,
        metrics: CustodianMetrics | None = None,
        holds: HoldsJobs | None = None,
    ) -> None:
        """Take the archive's functions; without `save`, finished jobs stay in Redis."""
        self._store = store
        self._settings = settings
        self._metrics = metrics or CustodianMetrics(CollectorRegistry())
        self._archiver = Archiver(store, settings, self._metrics, save, holds)
        self._actor = f"custodian:{settings.host}:{os.getpid()}"
        ttl_s = max(_LEADER_TTL_S, 5 * settings.custodian_interval_s)
        name = store.script.key("custodian")
        self._lock = Lock(store.script.redis, name, timeout=ttl_s, blocking=False)
        self._leading = False

    @property
    def trouble(self) -> str:
        """A fault that raises no error, such as a backlog of the archive; "" when there is none."""
        return self._archiver.trouble

    def start(self) -> None:
        """Prepare the first tick. Raises InfrastructureError."""
        self._archiver.start()

    def tick(self) -> bool:
        """Do what is due, if we lead; returns whether we do. Raises InfrastructureError."""
        leading = self._lead()
        self._metrics.ticked(leading)
        if not leading:
            return False
        self._store.maintenance.heal()
        self.requeue_expired()
        self.expire_queued()
        self.notify_stale()
        self.log_aside()
        self._archiver.archive()
        self._metrics.acted("pruned", self._store.maintenance.prune())
        return True

    def resign(self) -> None:
        """Let another custodian lead at once."""
        if self._leading:
            self._leading = False
            self._store.script.guarded(lambda _: self._release())

    def requeue_expired(self) -> None:
        """Take jobs back from workers that went silent."""
        lease_s = self._settings.lease_s
        # Longer than our own ticks are apart on a busy machine, or we would take ourselves for an outage.
        away_s = max(lease_s / 2, 3 * self._settings.custodian_interval_s)
        expired = self._store.maintenance.expire_leases(self._actor, lease_s, away_s, _BATCH)
        traces = self._store.jobs.traceparents([job_id for job_id, _, _ in expired])
        for job_id, device_id, state in expired:
            with bound_job(job_id, traces[job_id]):
                log.warning(
                    "job %s: the worker of %s went silent; now %s",
                    job_id,
                    device_id,
                    state,
                    extra={"device_id": device_id},
                )
            self._metrics.acted("requeued", 1)

    def expire_queued(self) -> None:
        """End jobs no board took in time."""
        expired = self._store.maintenance.expire_queued(self._actor, _BATCH)
        traces = self._store.jobs.traceparents(expired)
        for job_id in expired:
            with bound_job(job_id, traces[job_id]):
                log.warning("job %s: no board took it in time", job_id)
            self._metrics.acted("expired", 1)

    def notify_stale(self) -> None:
        """Notify again for ready jobs whose doorbell was lost, and for those that go round again."""
        doorbells = self._store.maintenance.stale_notifications(
            self._settings.doorbell_grace_s,
            key_prefix=KEY_PREFIX,
            separator=doorbell.SEPARATOR,
            last_step=PRIORITY_STEPS[-1],
        )
        if doorbells:
            self._store.doorbells.notify(doorbells, step=doorbell.FIRST)
            for message in doorbells[:_LINES]:
                with bound_job(message.job_id, message.traceparent):
                    log.info("job %s: its doorbell is sent again", message.job_id)
            if len(doorbells) > _LINES:
                log.info("notified again for %d more job(s)", len(doorbells) - _LINES)
            self._metrics.acted("renotified", len(doorbells))

<<<<<<< HEAD
    def archive(self) -> None:
        """Hand finished jobs to the archive. Raises what it raises when it is ill, after that was noted."""
        try:
            self.look_at_archive()
            self.archive_finished()
            self.archive_again()
        except Exception:
            self._metrics.archive_used(well=False)
            raise
        self._metrics.archive_used(well=True)

    def look_at_archive(self) -> None:
        """Notice an archive without the jobs that were given to it: deleted, emptied, replaced, an old copy."""
        if self._holds is None:
            return
        ends = self._store.custody.archived_ends()
        if (keep_days := self._settings.archive_keep_days) is not None:
            deleted_s = time.time() - keep_days * _DAY_S + _CLOCKS_S
            ends = {job_id: at_s for job_id, at_s in ends.items() if at_s > deleted_s}
        if not ends or self._holds(ends):
            return
        lost = self._store.custody.archive_lost()
        if lost and not self._lost:
            log.warning(
                "the results archive has lost jobs (it was deleted, emptied or replaced): the %d that are"
                " still in Redis are archived again",
                lost,
            )
        self._lost = True

    def archive_again(self) -> None:
        """Hand some of what an archive has lost to it again: a batch a tick, for there may be many."""
        jobs, custody = self._store.jobs, self._store.custody
        if self._archive is None or not (job_ids := custody.rearchivable(_BATCH)):
            if self._lost:
                self._lost = False
                log.info("the results archive holds all jobs again that are in Redis")
            return
        self._lost = True
        views = jobs.views(job_ids)
        kept = self._keep(views)
        custody.archived([view.id for view in kept], self._settings.result_ttl_s)
        custody.unreadable(sorted(set(job_ids) - {view.id for view in kept}))
        self._metrics.acted("archived_again", len(kept))

    def archive_finished(self) -> None:
        """Hand finished jobs to the archive; an archive in trouble gets them again next time.

        A job that it can never take is put aside, so that it holds up no other.
        """
        if self._archive is None:
            return
        jobs, custody = self._store.jobs, self._store.custody
        while job_ids := custody.unarchived(_BATCH):
            views = jobs.views(job_ids)
            kept = self._keep(views)
            custody.archived([view.id for view in kept], self._settings.result_ttl_s)
            custody.unreadable(sorted(set(job_ids) - {view.id for view in kept}))
            self._metrics.acted("archived", len(kept))
            boards = self._store.boards.all()
            self._metrics.finished(kept, {board.device_id: board.platform for board in boards})
            if len(job_ids) < _BATCH:
                break
        self._backlog.look(custody.unarchived_count())

    def _keep(self, views: Sequence[JobView]) -> Sequence[JobView]:
        """Archive what can be archived, and return that. Raises what the archive raises when it is ill."""
        assert self._archive is not None
        try:
            self._archive(views)
        except InfrastructureError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a value of one job makes a database raise
            if len(views) == 1:
                said = one_line(str(error), 200)
                job_id = views[0].id
                with bound_job(job_id, self._store.jobs.traceparents([job_id])[job_id]):
                    log.warning("job %s cannot be archived, and is put aside: %s", job_id, said)
                return []
            return [view for each in views for view in self._keep([each])]
        return views

    def tell_aside(self) -> None:
        """Log what the store set aside, a few lines a tick: somebody may make many."""
        taken, more = self._store.custody.take_aside()
=======
    def log_aside(self) -> None:
        """Log the entries that the store set aside, a few a tick: a faulty client may make many."""
        taken, more = self._store.maintenance.take_aside()
>>>>>>> e2-sched
        jobs = [entry.id for entry in taken if is_name(entry.id)]
        traces = self._store.jobs.traceparents(jobs)
        for entry in taken:
            line = ("set aside from %s: %r: %s", entry.where, entry.id, entry.why)
            if trace := traces.get(entry.id):
                with bound_job(entry.id, trace):
                    log.warning(*line)
            else:
                log.warning(*line)
        if more:
            log.warning("set aside: %d more", more)
        self._metrics.acted("set_aside", len(taken))

    def _lead(self) -> bool:
        leading = self._store.script.guarded(lambda _: self._renew() or self._acquire())
        if leading != self._leading:
            self._leading = leading
            log.info("%s", "leading" if leading else "standing by: another scheduler leads")
        return leading

    def _acquire(self) -> bool:
        return bool(self._lock.acquire())

    def _renew(self) -> bool:
        try:
            return self._leading and bool(self._lock.reacquire())
        except LockError:
            return False

    def _release(self) -> None:
        try:
            self._lock.release()
        except LockError:
            log.debug("the leader lock had run out already")
