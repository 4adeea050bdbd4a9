"""The custodian of a lab: it acts on jobs that are overdue, about once a second.

It requeues the jobs of silent workers, expires jobs that waited too long, sends lost doorbells
again, and has finished jobs archived (archiver.py). Each action is one script of the store on
Redis' clock (shared/store/maintenance.py), and harmless when it is repeated. The leader lock only
saves work when several schedulers run; correctness does not rest on it.
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
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.types.wire import is_name

log = logging.getLogger(__name__)

#: Jobs of one tick that are requeued or expired.
_BATCH = 100
#: Log lines of one tick about repeated doorbells: after an outage they may be thousands.
_LINES = 5
_LEADER_TTL_S = 5.0
#: How often the store is healed while no job is open: it costs as much as all else of a tick.
_IDLE_HEAL_TICKS = 10


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
        self._ticks = 0

    @property
    def trouble(self) -> str:
        """A fault that raises no error, such as a backlog of the archive; "" when there is none."""
        return self._archiver.trouble

    @property
    def leading(self) -> bool:
        """Whether this custodian led at its last tick."""
        return self._leading

    def start(self) -> None:
        """Prepare the first tick. Raises InfrastructureError."""
        self._archiver.start()

    def tick(self) -> bool:
        """Do what is due, if we lead; returns whether we do. Raises InfrastructureError."""
        leading = self._lead()
        self._metrics.ticked(leading)
        if not leading:
            return False
        due = self._store.maintenance.due()
        if "open" in due or self._ticks % _IDLE_HEAL_TICKS == 0:
            self._store.maintenance.heal()
        self._ticks += 1
        self.requeue_expired()
        if "deadlines" in due:
            self.expire_queued()
        if "reservations" in due:
            self._store.maintenance.end_reservations()
        if "notify" in due:
            self.notify_stale()
        if "aside" in due:
            self.log_aside()
        self._archiver.archive()
        if "prunable" in due:
            self._metrics.acted("pruned", self._store.maintenance.prune())
        return True

    def resign(self) -> None:
        """Let another custodian lead at once."""
        if self._leading:
            self._leading = False
            self._store.script.guarded(lambda _: self._release())

    def requeue_expired(self) -> None:
        """Requeue the jobs of workers whose lease ran out."""
        lease_s = self._settings.lease_s
        # It must exceed the time between two ticks on a busy machine, which is no outage.
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
        """End queued jobs whose deadline has passed."""
        expired = self._store.maintenance.expire_queued(self._actor, _BATCH)
        traces = self._store.jobs.traceparents(expired)
        for job_id in expired:
            with bound_job(job_id, traces[job_id]):
                log.warning("job %s: no board took it in time", job_id)
            self._metrics.acted("expired", 1)

    def notify_stale(self) -> None:
        """Send doorbells again for ready jobs that lost theirs, or that are retried."""
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

    def log_aside(self) -> None:
        """Log the entries that the store set aside, a few a tick: a faulty client may make many."""
        taken, more = self._store.maintenance.take_aside()
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
