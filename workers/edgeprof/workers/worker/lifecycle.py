"""The process that drives one board, from waiting for the board to its exit code.

It is crash-only: when the board goes away, the process announces that and ends. The agent starts it
again, and it begins as always, by waiting for the board. So there is one way into every state.
"""

from __future__ import annotations

import logging
import os
import signal
from contextlib import suppress
from typing import Final

from edgeprof.shared.errors import EdgeprofError, Fault, LinkFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.board_logs import BoardLogs
from edgeprof.shared.store.boards import BoardClash
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.vital_threads import vital_thread
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.health import SelfTest
from edgeprof.workers.board.ownership import last_on
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.metrics.telemetry import Waiting
from edgeprof.workers.worker.board_log import BoardLog
from edgeprof.workers.worker.consumer import CarryOut, Consumer
from edgeprof.workers.worker.cordon import Cordon
from edgeprof.workers.worker.heartbeat import Heartbeat
from edgeprof.workers.worker.outbox import Outbox
from edgeprof.workers.worker.process import EXIT_BOARD_GONE, EXIT_NOT_OURS, LAST_END_VARIABLE
from edgeprof.workers.worker.shutdown import Shutdown
from edgeprof.workers.worker.upgrade import agent_firmware

log = logging.getLogger(__name__)

_BOARD_IS_SILENT: Final = "the board does not answer"

#: Exit codes of workers that have said why they ended, or had no trouble.
_USUAL_ENDS: Final = {"0", str(EXIT_BOARD_GONE), str(EXIT_NOT_OURS)}

#: How often a watched port is opened in vain before it is left alone longer: it may be a modem's.
_SILENT_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.2


class BoardWorker:
    """One board, from waiting for it to withdrawing it."""

    def __init__(
        self,
        config: BoardConfig,
        settings: Settings,
        worker_board: WorkerBoard,
        carry_out: CarryOut,
        self_test: SelfTest,
    ) -> None:
        self._config = config
        self._settings = settings
        self._worker_board = worker_board
        self._carry_out = carry_out
        self._self_test = self_test
        self._log = BoardLog.install()
        self._outbox = Outbox(settings.data_dir / "undelivered")
        self._shutdown = Shutdown(settings.stop_grace_s)

    def run(self) -> int:
        """Drive the board until the worker has to stop; returns the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._shutdown.leave())
        if not self._wait_for_board():
            return self._shutdown.exit_code
        worker_board = self._worker_board
        self._log.start(BoardLogs(worker_board.store.script), worker_board.info.device_id)
        worker_board.ownership.note(agent_firmware_git_hash=agent_firmware(worker_board))
        tracing.configure(
            "edgeprof-worker",
            worker_board.node,
            worker_board.info.host,
            device_id=worker_board.info.device_id,
            platform=worker_board.info.platform,
        )
        try:
            self._drive()
        finally:
            worker_board.release(self._shutdown.reason, self._log.end)
        return self._shutdown.exit_code

    def _drive(self) -> None:
        """Beat and consume until the worker ends."""
        worker_board, settings = self._worker_board, self._settings
        consumer = Consumer(
            worker_board, settings, self._carry_out, self._outbox, self._shutdown, self._board_gone
        )
        cordon = Cordon(worker_board, consumer, self._self_test, settings)
        heartbeat = Heartbeat(worker_board, consumer, cordon, self._shutdown, settings, self._end)
        thread = vital_thread(heartbeat.run, "heartbeat", self._shutdown.silent.is_set)
        thread.start()
        try:
            if self._recover_and_test(cordon):
                consumer.run()
            else:
                self._board_gone()
        finally:
            self._shutdown.silent.set()
            thread.join()

    def _wait_for_board(self) -> bool:
        """Wait until Redis is there and the board is ours; False: the worker has to stop."""
        pause_s, logged, silent = _FIRST_PAUSE_S, "", 0
        last_end = os.environ.get(LAST_END_VARIABLE, "0")
        if last_end not in _USUAL_ENDS:
            how = f"signal {last_end[1:]}" if last_end[0] == "-" else f"exit {last_end}"
            log.warning("the worker before this one ended unexpectedly (%s)", how)
        if last_end == str(EXIT_NOT_OURS):
            # The worker before us found nothing and logged it. One try: opening a port is not free.
            logged, silent = "no_hello", _SILENT_TRIES - 1
        leaving = self._shutdown.leaving
        while not leaving.is_set():
            try:
                self._worker_board.acquire(leaving.is_set)
            except EdgeprofError as error:
                if leaving.is_set():
                    break
                if _kind(error) != logged:  # each trouble once, not every few seconds
                    logged = _kind(error)
                    self._tell_waiting(error)
                silent += isinstance(error, LinkFault)
                if self._config.watched and silent >= _SILENT_TRIES:
                    self._shutdown.exit_code = EXIT_NOT_OURS  # the agent tries again later
                    return False
            else:
                return True
            leaving.wait(pause_s)
            pause_s = min(pause_s * 2, self._settings.probe_interval_s)
        return False

    def _tell_waiting(self, error: EdgeprofError) -> None:
        hint = f" ({error.hint})" if error.hint else ""
        log.warning("board %s: waiting: %s%s", self._config, error, hint)
        self._worker_board.telemetry.send(Waiting(reason=f"{error}{hint}"))
        if not isinstance(error, Fault):
            return  # Redis is away
        with suppress(EdgeprofError), LabStore.open(self._settings) as store:
            for known in last_on(store.boards, self._config, self._settings):
                self._log.write(BoardLogs(store.script), known.device_id)

    def _recover_and_test(self, cordon: Cordon) -> bool:
        """Finish what the worker before us left, and test the board before it gets jobs.

        False: the board is gone, or another host has a board of its name.
        """
        worker_board = self._worker_board
        jobs = worker_board.store.jobs
        # Results first: the job of the worker before us may be done.
        self._outbox.deliver(jobs)
        # We have the locks, so that worker is dead: its job need not wait for lease or test.
        lock_domain = worker_board.ownership.lock_domain
        if job_id := jobs.reclaim(worker_board.info.device_id, lock_domain, worker_board.node):
            with bound_job(job_id, jobs.traceparents([job_id])[job_id]):
                log.warning("job %s of the worker before us is back in the queue", job_id)
        if not cordon.apply():
            return False
        try:
            worker_board.ownership.announce(BoardState.ONLINE)
        except BoardClash as clash:
            log.error("%s", clash)  # noqa: TRY400 - a user's trouble, not a bug of ours
            return False
        return True

    def _board_gone(self) -> None:
        self._end(EXIT_BOARD_GONE, "")

    def _end(self, exit_code: int, reason: str) -> None:
        if not reason:
            reason = ": ".join(filter(None, [_BOARD_IS_SILENT, self._worker_board.gone_because]))
        self._shutdown.end(exit_code, reason, self._worker_board.ownership.withdraw)


def _kind(error: EdgeprofError) -> str:
    """Return what makes two troubles the same, although their texts count bytes or seconds."""
    return error.code if isinstance(error, Fault) else type(error).__name__
