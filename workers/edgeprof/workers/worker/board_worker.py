"""The process that drives one board: a Celery worker that hears the board's doorbells.

Crash-only: when the board goes away this process says so and ends; the agent starts it again, and it
begins as ever, by waiting for the board. There is one way into every state.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from celery import Celery, concurrency, signals
from celery.exceptions import SecurityWarning
from celery.worker import state as celery_state
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from edgeprof.shared import private_files
from edgeprof.shared.errors import BoardFault, EdgeprofError, Fault, InfrastructureError, LinkFault
from edgeprof.shared.queue import doorbell
from edgeprof.shared.queue.celery_app import TASK_NAME, make_app
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.boards import PORT_RELEASED, BoardClash, Cordons
from edgeprof.shared.store.jobs import Claim
from edgeprof.shared.telemetry import logs, tracing
from edgeprof.shared.telemetry.about import about_job
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.result import JobResult
from edgeprof.shared.vital_threads import end_within, vital_thread
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.managed_board import Bench, Verdict
from edgeprof.workers.metrics.telemetry import Sender, Waiting
from edgeprof.workers.selftest.schedule import SelfTestSchedule
from edgeprof.workers.worker import doorbell_transport
from edgeprof.workers.worker.attempt import Attempts
from edgeprof.workers.worker.door import Door
from edgeprof.workers.worker.lease import Lease
from edgeprof.workers.worker.outbox import Outbox
from edgeprof.workers.worker.process import (
    AGENT_PID_VARIABLE,
    EXIT_BOARD_GONE,
    EXIT_NOT_OURS,
    LAST_END_VARIABLE,
    STOP_MARGIN_S,
)
from edgeprof.workers.worker.task_events import DoorbellRequest, TaskEvents

log = logging.getLogger(__name__)

_GONE: Final = "the board does not answer"
_RESUMED: Final = "its port was taken back, and it is opened anew"
#: How often the port is looked at: a board is to be shown as offline within 2 s of being unplugged.
_LOOK_S: Final = 0.5

#: How a worker ends that no doorbell reaches (EX_UNAVAILABLE of sysexits is EXIT_NOT_OURS; this is
#: EX_NOPERM).
EXIT_DEAF: Final = 77
#: Longer than Celery waits before it connects again; the wait for a doorbell is answered each second.
_LONGEST_SILENCE_S: Final = 60.0

#: How often a watched port is opened in vain before it is left alone longer: it may be a modem's.
_SILENT_TRIES: Final = 3

#: Carries out a claimed job on an open board; session.profile in production.
Profile = Callable[[Bench, Claim, Lease, ModelCache], JobResult]


#: Finds out whether an idle board works; raises the Fault it has. selftest.self_test in production.
SelfTest = Callable[[Bench], None]


class BoardWorker:
    """One board, from waiting for it to saying goodbye."""

    def __init__(
        self,
        config: BoardConfig,
        settings: Settings,
        bench: Bench,
        profile: Profile,
        self_test: SelfTest,
    ) -> None:
        self._config = config
        self._settings = settings
        self._bench = bench
        self._profile = profile
        self._self_test = self_test
        self._schedule = SelfTestSchedule(settings)
        #: Set when the process is to end; a running job gets EDGEPROF_STOP_GRACE_S more.
        self._leaving = threading.Event()
        #: Set when a running job has to be handed back now.
        self._stopping = threading.Event()
        #: Set when nothing more is to be announced.
        self._ended = threading.Event()
        self._exit_code = 0
        self._farewell = "its worker stopped"
        self._outbox = Outbox(settings.data_dir / "undelivered")
        self._celery: Any = None
        self._events = TaskEvents(self._dispatcher)
        self._door: Door | None = None

    def run(self) -> int:
        """Drive the board until told to stop; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._leave())
        if not self._wait_for_board():
            return self._exit_code
        bench = self._bench
        tracing.configure(
            "edgeprof-worker",
            bench.node,
            bench.info.host,
            device_id=bench.info.device_id,
            platform=bench.info.platform,
        )
        heart = vital_thread(self._beat, "heartbeat", self._ended.is_set)
        heart.start()
        try:
            if self._first_sight():
                self._receive_doorbells()
            else:
                self._board_gone()
        finally:
            self._ended.set()
            heart.join()
            self._bench.release(self._farewell)
        return self._exit_code

    def _wait_for_board(self) -> bool:
        """Wait until store and board are there and the board is ours; False when told to stop."""
        pause_s, said, silent = 0.2, "", 0
        if os.environ.get(LAST_END_VARIABLE) == str(EXIT_NOT_OURS):
            # The worker before us found nothing, and said so. One look: opening a port is not free.
            said, silent = "no_hello", _SILENT_TRIES - 1
        while not self._leaving.is_set():
            try:
                self._bench.acquire(self._leaving.is_set)
            except EdgeprofError as error:
                if self._leaving.is_set():
                    break
                trouble = _kind(error)
                if trouble != said:  # each trouble once, not every few seconds
                    said = trouble
                    hint = f" ({error.hint})" if error.hint else ""
                    log.warning("board %s: waiting: %s%s", self._config, error, hint)
                    self._bench.telemetry.send(Waiting(reason=f"{error}{hint}"))
                silent += isinstance(error, LinkFault)
                if self._config.watched and silent >= _SILENT_TRIES:
                    self._exit_code = EXIT_NOT_OURS  # the agent looks again later
                    return False
            else:
                return True
            self._leaving.wait(pause_s)
            pause_s = min(pause_s * 2, self._settings.probe_interval_s)
        return False

    def _first_sight(self) -> bool:
        """Tidy up after the worker before us, and test the board before it gets jobs; False: it is gone."""
        bench = self._bench
        self._outbox.deliver(bench.store.jobs)  # first: the job of the worker before us may be done
        # The locks are ours, so the worker before us is dead: its job need wait neither for the lease nor the test.
        if job_id := bench.store.jobs.reclaim(
            bench.info.device_id, bench.claim.lock_domain, bench.node
        ):
            with about_job(job_id, bench.store.jobs.traceparents([job_id])[job_id]):
                log.warning("job %s of the worker before us is back in the queue", job_id)
        if not self._mind_holds():
            return False
        try:
            bench.announce(BoardState.ONLINE)
        except BoardClash as clash:
            log.error("%s", clash)  # noqa: TRY400 - a user's trouble, not a bug of ours
            return False
        return True

    def _receive_doorbells(self) -> None:
        """Be a Celery worker until a signal or a lost board ends it."""
        bench, settings = self._bench, self._settings
        lock_domain = bench.claim.lock_domain
        self._attempts = Attempts(
            bench.store.jobs,
            settings,
            node=f"{bench.node}/{os.getpid()}",
            lock_domain=lock_domain,
            stopping=self._stopping,
            telemetry=bench.telemetry,
            outbox=self._outbox,
            events=self._events,
            on_host_fault=bench.blame_host,
        )
        self._models = ModelCache(settings.cache_dir, bench.store.blobs)
        # It warns of pickle under root; the app takes JSON only, and containers do run as root.
        warnings.simplefilter("ignore", SecurityWarning)
        self._door = doorbell_transport.install(bench.node, bench.telemetry)
        app = make_app(bench.store.url)
        signals.worker_init.connect(_instrument, weak=False)
        signals.setup_logging.connect(_keep_logging, weak=False)
        signals.worker_shutting_down.connect(self._on_shutdown, weak=False)
        app.task(name=TASK_NAME, send_events=False, Request=DoorbellRequest)(self._heard)
        worker = self._celery = app.Worker(
            hostname=bench.node,
            pool_cls=concurrency.get_implementation("threads"),
            concurrency=1,
            queues=self._queues(Cordons()),
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        )
        if not self._leaving.is_set():
            worker.start()
            self._last_events(app)
        if not self._leaving.is_set():
            # Celery gave up by itself: start afresh.
            self._exit_code = worker.exitcode or 1

    def _dispatcher(self) -> Any:
        """Return Celery's dispatcher of events; None while it has no connection, and once it stops."""
        return getattr(getattr(self._celery, "consumer", None), "event_dispatcher", None)

    def _last_events(self, app: Celery) -> None:
        """Tell of a job that ended when Celery had closed its connections already."""
        if not self._events.pending:
            return
        with (
            contextlib.suppress(OperationalError, RedisError, OSError),
            app.events.default_dispatcher(hostname=self._bench.node) as dispatcher,
        ):
            self._events.flush(dispatcher)

    def _heard(self, job_id: Any) -> None:
        """Carry out the job whose turn it is on the queue of a doorbell, if there is one. Celery calls this."""
        if not isinstance(job_id, str) or self._leaving.is_set():
            return  # the doorbell is lost; the custodian sends it again, for somebody else
        bench = self._bench
        with bench.in_use():
            claimed = self._attempts.claim(job_id, bench.info)
            if claimed is None:
                return
            bench.announce(BoardState.BUSY, claimed[0].job_id)
            fault = self._attempts.carry_out(
                *claimed,
                bench.info,
                lambda claim, lease: self._profile(bench, claim, lease, self._models),
            )
            if isinstance(fault, (BoardFault, LinkFault)):
                logs.hardware.error("%s", fault, extra=bench.context() | {"code": fault.code})
                if not bench.reopen():
                    self._board_gone()
                    return
            bench.announce(BoardState.ONLINE)

    def _beat(self) -> None:
        """Keep the announcement alive, and see that an idle board is still there."""
        interval_s = min(self._settings.board_ttl_s / 3, self._settings.probe_interval_s)
        while self._pause(interval_s):
            try:
                if self._bench.unplugged() and self._bench.info.job_id is not None:
                    self._bench.announce_unplugged()  # its job finds out by itself, and ends
                    continue
                if self._leaving.is_set():
                    self._bench.announce(BoardState.DRAINING, self._bench.info.job_id)
                    continue
                if not self._mind_port():
                    # Another program has had the board: what is known of it is asked anew, by a new process.
                    self._board_gone(_RESUMED)
                    return
                if not (self._bench.released or (self._bench.probe() and self._mind_holds())):
                    self._board_gone()
                    return
                if self._deaf():
                    return
                self._events.flush()
                self._identify_when_asked()
                self._bench.store.watch.look_when_due()
                self._bench.announce()
            except BoardClash as clash:
                log.error("%s", clash)  # noqa: TRY400 - a user's trouble, not a bug of ours
                self._board_gone()
                return

    def _pause(self, length_s: float) -> bool:
        """Wait until the next beat; less when the port is gone. False when nothing is to be announced any more."""
        until_s = time.monotonic() + length_s
        while (left_s := until_s - time.monotonic()) > 0:
            if self._ended.wait(min(left_s, _LOOK_S)):
                return False
            if self._bench.unplugged():
                break
        return True

    def _mind_holds(self) -> bool:
        """Listen only where a held board may, and test it when that is due; False: it is gone."""
        info = self._bench.info
        try:
            held = self._bench.store.boards.cordons(info.device_id, info.host)
        except InfrastructureError:
            self._excuse()
            return True
        wanted = self._queues(held)
        self._listen(wanted)
        if not wanted:
            self._excuse()
        if not self._schedule.due(quarantined=held.suspect):
            return True
        verdict = self._bench.self_test(self._self_test)
        self._schedule.note(verdict, quarantined=held.suspect)
        return verdict is not Verdict.GONE

    def _mind_port(self) -> bool:
        """Close the port when somebody wants it; False: it is closed and wanted by nobody any more."""
        try:
            wanted = self._bench.store.boards.port_wanted(self._bench.info.device_id)
        except InfrastructureError:
            return True
        if wanted:
            self._excuse()
        if wanted and not self._bench.released:
            self._listen([])
            self._bench.release_port()  # not while a job has the board: the next beat comes
        return wanted or not self._bench.released

    def _identify_when_asked(self) -> None:
        boards, name = self._bench.store.boards, self._bench.info.device_id
        with contextlib.suppress(InfrastructureError):
            actor = boards.take_identify(name)
            if not actor:
                return
            if self._bench.released:
                boards.identified(name, actor, f"cannot blink: {PORT_RELEASED}")
                return
            try:
                blinks = self._bench.identify()
            except Fault as fault:
                boards.identified(name, actor, f"cannot blink: {fault}")
            else:
                boards.identified(name, actor, "blinks" if blinks else "busy with a job")

    def _queues(self, held: Cordons) -> list[str]:
        info, wanted = self._bench.info, []
        if held.takes_own_jobs:
            wanted.append(doorbell.board_queue(info.device_id))
        if held.takes_jobs_of_platform:
            wanted.append(doorbell.platform_queue(info.platform))
        return wanted

    def _listen(self, wanted: list[str]) -> None:
        """Hear the doorbells of these queues only: a doorbell that a held board hears is lost to the others."""
        consumer = getattr(self._celery, "consumer", None)
        if consumer is None or consumer.task_consumer is None:
            return  # (re)connecting; the next beat comes
        for queue in self._queues(Cordons()):
            if queue in wanted and not consumer.task_consumer.consuming_from(queue):
                consumer.call_soon(consumer.add_task_queue, queue)
            elif queue not in wanted and consumer.task_consumer.consuming_from(queue):
                consumer.call_soon(consumer.cancel_task_queue, queue)

    def _excuse(self) -> None:
        if self._door is not None:
            self._door.excused()

    def _deaf(self) -> bool:
        """End when Redis is there and no doorbell is received: a board that looks alive would keep its
        jobs waiting."""
        if self._bench.info.job_id is not None or celery_state.reserved_requests:
            self._excuse()  # a doorbell was received, and is being answered
            return False
        ttl_s = self._settings.board_ttl_s
        why = self._door and self._door.deaf(ttl_s, _LONGEST_SILENCE_S + ttl_s)
        if not why:
            return False
        log.error("board %s hears no doorbells: %s", self._config, why)
        self._exit_code = EXIT_DEAF
        self._end(f"it hears no doorbells: {why}")
        return True

    def _board_gone(self, because: str = "") -> None:
        self._exit_code = EXIT_BOARD_GONE
        self._end(because or ": ".join(filter(None, [_GONE, self._bench.gone_because])))

    def _end(self, why: str) -> None:
        """End, and say so at once: Celery takes seconds to leave."""
        self._farewell = why
        self._ended.set()
        self._bench.withdraw(why)
        self._leaving.set()
        # Celery's loop looks here at each turn, and leaves.
        celery_state.should_stop = 0  # type: ignore[assignment]

    def _on_shutdown(self, **_: Any) -> None:
        self._leave()

    def _leave(self) -> None:
        if not self._leaving.is_set():
            self._leaving.set()
            # A little before the agent would kill it: the locks, the port and the log are left in order.
            end_within(self._settings.stop_grace_s + STOP_MARGIN_S - 0.4)
            grace = threading.Timer(self._settings.stop_grace_s, self._stopping.set)
            grace.daemon = True
            grace.start()


def _kind(error: EdgeprofError) -> str:
    """Return what makes two troubles the same, whatever their texts count (bytes, seconds)."""
    return error.code if isinstance(error, Fault) else type(error).__name__


def _keep_logging(**_: Any) -> None:
    """Somebody listens, so Celery leaves logging alone. Its setting worker_hijack_root_logger keeps our
    handlers only: the root logger's level would still become Celery's, and our lines vanish."""


def _instrument(**_: Any) -> None:
    tracing.instrument_celery()


def serve(
    config: BoardConfig, bench: Bench, profile: Profile, settings: Settings, self_test: SelfTest
) -> int:
    """Be the worker of one board in this process; returns the exit code."""
    die_with_parent()
    private_files.umask_of_a_service()
    logs.configure(settings, "edgeprof-worker")
    return BoardWorker(config, settings, bench, profile, self_test).run()


def die_with_parent() -> None:
    """Be told to stop when the agent dies, however it dies; a board must not stay with an orphan."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGTERM)
    agent = os.environ.get(AGENT_PID_VARIABLE)
    if agent is not None and int(agent) != os.getppid():
        sys.exit(0)  # it died before we asked


def main() -> int:
    """Entry point of the child process: its board as JSON in the only argument."""
    from edgeprof.workers.selftest.selftest import self_test  # noqa: PLC0415
    from edgeprof.workers.worker.wiring import open_board, profile  # noqa: PLC0415

    settings = load_settings()
    config = BoardConfig.model_validate_json(sys.argv[1])
    bench = Bench(config, settings, open_board, Sender.inherited())
    return serve(config, bench, profile, settings, self_test)


if __name__ == "__main__":
    sys.exit(main())
