"""The process that drives one board: a Celery worker that hears the board's bells.

Crash-only: when the board goes away this process says so and ends; the agent starts it again, and it
begins as ever, by waiting for the board. There is one way into every state.
"""

from __future__ import annotations

import argparse
import ctypes
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from celery import concurrency, signals
from celery.worker import state as celery_state

from edgeprof.shared import logs, metrics, queues, tracing
from edgeprof.shared.blobs import ModelCache
from edgeprof.shared.celery_app import TASK_NAME, make_app
from edgeprof.shared.errors import BoardFault, EdgeprofError, Fault, InfrastructureError, LinkFault
from edgeprof.shared.jobs import BoardInfo, BoardState
from edgeprof.shared.results import JobResult
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.boards import BoardClash, Owner
from edgeprof.shared.store.jobs import Claim
from edgeprof.shared.store.lab import LabStore
from edgeprof.workers.attempt import Attempts
from edgeprof.workers.board import Board
from edgeprof.workers.claims import BoardClaim
from edgeprof.workers.config import BoardConfig
from edgeprof.workers.lease import Lease

log = logging.getLogger(__name__)

#: The board is gone: start again, and wait for it (sysexits' EX_TEMPFAIL).
EXIT_BOARD_GONE: Final = 75

Open = Callable[[BoardConfig, Settings], Board]
Profile = Callable[..., JobResult]


class BoardWorker:
    """One board, from waiting for it to saying goodbye."""

    def __init__(
        self, config: BoardConfig, settings: Settings, open_board: Open, profile: Profile
    ) -> None:
        self._config = config
        self._settings = settings
        self._open_board = open_board
        self._profile = profile
        self._claim = BoardClaim(settings.lock_dir)
        #: Set when the process is to end; running jobs get EDGEPROF_STOP_GRACE_S more.
        self._leaving = threading.Event()
        #: Set when a running job has to be handed back now.
        self._stopping = threading.Event()
        self._exit_code = 0
        #: Who uses the board right now: a job, or the probe of an idle board.
        self._in_use = threading.Lock()

    # --- life

    def run(self) -> int:
        """Drive the board until told to stop; returns the exit code."""
        signal.signal(signal.SIGTERM, lambda *_: self._leave())
        signal.signal(signal.SIGINT, lambda *_: self._leave())
        try:
            if not self._start():
                return 0
            self._serve()
            return self._exit_code
        finally:
            self._claim.close()

    def _start(self) -> bool:
        """Wait until store and board are there and the board is ours; False when told to stop."""
        pause_s, last = 0.2, ""
        while not self._leaving.is_set():
            try:
                self._store = LabStore.open(self._settings)
                self._acquire()
            except EdgeprofError as error:
                if str(error) != last:  # say each trouble once, not every few seconds
                    last = str(error)
                    log.warning("board %s: waiting: %s", self._config, error)
            else:
                return True
            self._leaving.wait(pause_s)
            pause_s = min(pause_s * 2, self._settings.probe_interval_s)
        return False

    def _acquire(self) -> None:
        board = self._open_board(self._config, self._settings)
        try:
            info = describe(board, self._config, self._settings)
            self._claim.take("board", info.device_id)
            self._claim.take("uid", info.uid)
            domain = self._claim.domain
            self._owner = Owner(host=info.host, domain=domain, uid=info.uid)
            self._store.boards.announce(self._owner, info, self._settings.board_ttl_s)
        except BaseException:
            board.close()
            raise
        self._board, self._info = board, info
        self._node = f"w@{info.device_id}.{info.host}"
        # The locks are ours, so whoever had them is dead: its job need not wait for the lease.
        if job_id := self._store.jobs.abandon(info.device_id, domain, self._node):
            log.warning("job %s of the worker before is back in the queue", job_id)
        self._attempts = Attempts(
            self._store.jobs,
            self._settings,
            node=f"{self._node}/{os.getpid()}",
            domain=domain,
            stopping=self._stopping,
        )
        self._models = ModelCache(self._settings.cache_dir, self._store.blobs)
        metrics.board_connected(info, connected=True)
        logs.operations.info("Device connected", extra=_context(info))

    def _serve(self) -> None:
        heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        heart.start()
        try:
            self._celery()
        finally:
            self._leaving.set()
            heart.join(timeout=5)
            reason = "its worker stopped" if self._exit_code == 0 else "the board does not answer"
            with suppress(InfrastructureError, Fault):
                self._store.boards.withdraw(self._owner, self._info, reason)
            with suppress(Fault):
                self._board.close()
            metrics.board_connected(self._info, connected=False)
            logs.operations.info("Device disconnected: %s", reason, extra=_context(self._info))
            self._store.close()

    def _celery(self) -> None:
        """Hear bells until a signal or a lost board ends it."""
        app = make_app(self._store.url)
        signals.worker_init.connect(lambda **_: tracing.instrument_celery(), weak=False)
        signals.worker_shutting_down.connect(lambda **_: self._leave(), weak=False)
        app.task(self._heard, name=TASK_NAME)
        worker = app.Worker(
            hostname=self._node,
            pool_cls=concurrency.get_implementation("threads"),
            concurrency=1,
            queues=[
                queues.board_queue(self._info.device_id),
                queues.platform_queue(self._info.platform),
            ],
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        worker.start()

    def _leave(self) -> None:
        if self._leaving.is_set():
            return
        self._leaving.set()
        grace = threading.Timer(self._settings.stop_grace_s, self._stopping.set)
        grace.daemon = True
        grace.start()

    # --- jobs

    def _heard(self, job_id: Any) -> None:
        """Carry out the job of a bell, if it is still to be done. Called by Celery."""
        if not isinstance(job_id, str) or self._leaving.is_set() or not self._ready():
            return
        with self._in_use:
            claimed = self._attempts.claim(job_id, self._info)
            if claimed is None:
                return
            self._announce(BoardState.BUSY, job_id)
            fault = self._attempts.carry_out(*claimed, self._info, self._work)
            if isinstance(fault, (BoardFault, LinkFault)):
                logs.hardware.error("%s", fault, extra=_context(self._info) | {"code": fault.code})
                self._reopen()
            if not self._leaving.is_set():
                self._announce(BoardState.ONLINE, None)

    def _work(self, claim: Claim, lease: Lease) -> JobResult:
        from edgeprof.shared.models import ModelFile  # noqa: PLC0415
        from edgeprof.shared.reference import Reference  # noqa: PLC0415

        path = self._models.fetch(claim.spec.model)
        model = ModelFile.open(path)
        return self._profile(
            self._board,
            claim.spec,
            path,
            model,
            Reference(model) if claim.spec.check_output or claim.spec.score else None,
            epoch=claim.epoch,
            progress=lease.progress,
            should_stop=lease.should_stop,
            host=self._info.host,
            device_id=self._info.device_id,
        )
