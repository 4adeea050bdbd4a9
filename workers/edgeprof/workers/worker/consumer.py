"""The Celery side of a board's worker: which queues it consumes, and what a doorbell leads to.

A doorbell says "look at this queue". The way of a job from here: on_doorbell → attempt.claim →
attempt.carry_out → fetch_and_profile → profiling.profile_job → board.run.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from typing import Any, Final

from celery import Celery, concurrency, signals
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from edgeprof.shared.errors import BoardFault, LinkFault
from edgeprof.shared.queue.celery_app import TASK_NAME, make_app
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.boards import BoardClash, Cordons
from edgeprof.shared.store.job_values import Claim
from edgeprof.shared.telemetry import logs
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import board_queue, platform_queue
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.worker import celery_hooks, doorbell_transport
from edgeprof.workers.worker.attempt import Attempts
from edgeprof.workers.worker.lease import Lease
from edgeprof.workers.worker.message_guard import MessageGuard
from edgeprof.workers.worker.outbox import Outbox
from edgeprof.workers.worker.shutdown import Shutdown
from edgeprof.workers.worker.task_events import TaskEvents

log = logging.getLogger(__name__)

#: Longer than Celery waits before it connects again, and longer than one wait for a doorbell.
_LONGEST_SILENCE_S: Final = 60.0

#: How often a worker sends Celery's heartbeat event, for Flower and celery-exporter only. The event
#: carries this interval, and Flower shows a worker as offline after twice of it.
_EVENT_INTERVAL_S: Final = 10.0

#: Carries out a claimed job on an open board; fetch_and_profile does it for real.
CarryOut = Callable[[WorkerBoard, Claim, Lease, ModelCache], JobResult]


class Consumer:
    """The Celery worker of one board. run() is Celery's loop; the rest may come from any thread."""

    def __init__(
        self,
        worker_board: WorkerBoard,
        settings: Settings,
        carry_out: CarryOut,
        outbox: Outbox,
        shutdown: Shutdown,
        on_board_gone: Callable[[], None],
    ) -> None:
        """The board has to be acquired. `on_board_gone` ends the worker."""
        self._worker_board = worker_board
        self._settings = settings
        self._carry_out = carry_out
        self._shutdown = shutdown
        self._on_board_gone = on_board_gone
        self._celery: Any = None
        self._guard: MessageGuard | None = None
        self._models = ModelCache(settings.cache_dir, worker_board.store.blobs)
        self.events = TaskEvents(lambda: celery_hooks.event_dispatcher(self._celery))
        self._attempts = Attempts(
            worker_board.store.jobs,
            settings,
            node=f"{worker_board.node}/{os.getpid()}",
            lock_domain=worker_board.ownership.lock_domain,
            stopping=shutdown.hand_back,
            telemetry=worker_board.telemetry,
            outbox=outbox,
            events=self.events,
            on_host_fault=worker_board.health.check_after_host_fault,
        )

    def run(self) -> None:
        """Consume doorbells until the worker is to end."""
        worker_board = self._worker_board
        self._guard = doorbell_transport.install(
            worker_board.node,
            worker_board.telemetry,
            worker_board.store.script.redis.connection_pool,
        )
        celery_hooks.prepare_process()
        signals.worker_shutting_down.connect(self._on_celery_shutdown, weak=False)
        app = make_app(worker_board.store.url)
        register = app.task(name=TASK_NAME, send_events=False, Request=celery_hooks.DoorbellRequest)
        register(self.on_doorbell)
        self._celery = app.Worker(
            hostname=worker_board.node,
            pool_cls=concurrency.get_implementation("threads"),
            concurrency=1,
            heartbeat_interval=_EVENT_INTERVAL_S,
            queues=queues_of(worker_board.info, Cordons()),
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        if not self._shutdown.leaving.is_set():
            self._celery.start()
            self._send_last_events(app)
        if not self._shutdown.leaving.is_set():
            # Celery gave up by itself: the agent starts this process afresh.
            self._shutdown.exit_code = self._celery.exitcode or 1

    def on_doorbell(self, job_id: Any) -> None:
        """Carry out the next job of the doorbell's queue, if there is one. Celery calls this.

        A doorbell that comes while the worker leaves is lost, and the custodian notifies another
        worker.
        """
        if not isinstance(job_id, str) or self._shutdown.leaving.is_set():
            return
        worker_board = self._worker_board
        with worker_board.in_use():
            claimed = self._attempts.claim(job_id, worker_board.info)
            if claimed is None:
                return
            fault = self._attempts.carry_out(*claimed, worker_board.info, self._work)
            if isinstance(fault, (BoardFault, LinkFault)):
                extra = worker_board.log_fields | {"code": fault.code}
                logs.hardware.error("%s", fault, extra=extra)
                if not worker_board.reopen():
                    self._on_board_gone()
                    return
            try:
                if isinstance(fault, BoardClash):
                    raise fault
                worker_board.ownership.announce(BoardState.ONLINE)
            except BoardClash as clash:
                log.error("%s", clash)  # noqa: TRY400 - a user's trouble, not a bug of ours
                self._on_board_gone()

    def _work(self, claim: Claim, lease: Lease) -> JobResult:
        """Announce the job, and do it. A BoardClash gives it back, as any fault of a host does."""
        announce = self._worker_board.ownership.announce
        announce(BoardState.BUSY, claim.job_id, claim.spec.user)
        return self._carry_out(self._worker_board, claim, lease, self._models)

    def consume_only(self, queues: Sequence[str]) -> None:
        """Leave the board's other queues: a doorbell that a cordoned board takes is lost."""
        every = queues_of(self._worker_board.info, Cordons())
        celery_hooks.follow_queues(self._celery, every, queues)

    def expect_silence(self) -> None:
        """Note that no doorbell can come now: the board is busy or cordoned, or Redis is away."""
        if self._guard is not None:
            self._guard.expect_silence()

    def out_of_reach(self) -> str | None:
        """Return why no doorbell reaches this worker although Redis is there, or None."""
        if self._worker_board.info.job_id is not None or celery_hooks.is_handling_doorbell():
            self.expect_silence()
            return None
        if self._guard is None:
            return None
        ttl_s = self._settings.board_ttl_s
        return self._guard.out_of_reach(ttl_s, _LONGEST_SILENCE_S + ttl_s)

    def _send_last_events(self, app: Celery) -> None:
        """Send the events of a job that ended after Celery had closed its connections."""
        if not self.events.pending:
            return
        with (
            contextlib.suppress(OperationalError, RedisError, OSError),
            app.events.default_dispatcher(hostname=self._worker_board.node) as dispatcher,
        ):
            self.events.flush(dispatcher)

    def _on_celery_shutdown(self, **_: Any) -> None:
        self._shutdown.leave()


def queues_of(info: BoardInfo, cordons: Cordons) -> list[str]:
    """Return the queues whose doorbells are for a board: its own, and its platform's."""
    queues = []
    if cordons.takes_own_jobs:
        queues.append(board_queue(info.device_id))
    if cordons.listens_to_platform:
        queues.append(platform_queue(info.platform))
    return queues
