"""A board as its worker has it: open, owned, and used by one thread at a time.

Its parts are reopenable_board.py (open, reset, reopen), ownership.py (locks and announcements),
health.py (self-tests and what follows from them) and readings.py (what a probe reads). This module
puts them together, and keeps a job and a probe from talking to the board at the same time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edgeprof.shared.errors import Fault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import PORT_RELEASED
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import logs
from edgeprof.shared.types.board import BoardInfo
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import describe, log_fields, node_name
from edgeprof.workers.board.health import Health, SelfTest, Verdict
from edgeprof.workers.board.locks import BoardLock
from edgeprof.workers.board.ownership import Ownership, refuse_released_port
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.board.readings import Readings
from edgeprof.workers.board.reopenable_board import OpenBoard, ReopenableBoard
from edgeprof.workers.metrics.telemetry import Connected, Disconnected, Sender

#: How much longer than the grace a job may take to leave its board clean.
_CLEANUP_S = 0.7


class WorkerBoard:
    """One board that is ours from acquire() to release(); before that, only its configuration."""

    store: LabStore
    ownership: Ownership
    health: Health

    def __init__(
        self,
        config: BoardConfig,
        settings: Settings,
        open_board: OpenBoard,
        telemetry: Sender | None = None,
    ) -> None:
        self.telemetry = telemetry or Sender(None)
        #: Whether the port is closed so that another program can use it.
        self.port_released = False
        self._settings = settings
        self._reopenable = ReopenableBoard(config, settings, open_board, self._nobody_waits)
        self._in_use = threading.Lock()
        self._has_job = False
        self._leaving: Callable[[], bool] = lambda: False
        self._leaving_since_s: float | None = None

    @property
    def board(self) -> Board:
        """The open board."""
        return self._reopenable.board

    @property
    def config(self) -> BoardConfig:
        """The configuration of this board in boards.toml."""
        return self._reopenable.config

    @property
    def info(self) -> BoardInfo:
        """The board's record, as the lab gets it."""
        return self.ownership.info

    @property
    def node(self) -> str:
        """The name of this board's Celery node."""
        return node_name(self.info)

    @property
    def log_fields(self) -> dict[str, str]:
        """The fields that every log line about this board carries."""
        return log_fields(self.info)

    @property
    def gone_because(self) -> str:
        """Why the board could not be opened again; "" when no more is known than its silence."""
        return self._reopenable.gone_because

    def acquire(self, leaving: Callable[[], bool] = lambda: False) -> None:
        """Reach the store, open the board, make it ours, and announce it. Raises EdgeprofError.

        `leaving` returns whether the worker is to end: from then on nothing waits for the board.
        """
        self._leaving = leaving
        store = LabStore.open(self._settings)
        locks = None
        try:
            refuse_released_port(store.boards, self.config, self._settings)
            locks = BoardLock(self._settings.lock_dir)
            self._reopenable.open()
            try:
                info = describe(self.board.hello, self.config, self._settings)
                ttl_s = self._settings.board_ttl_s
                self.ownership = Ownership.take(store.boards, locks, info, ttl_s)
            except BaseException:
                self.board.close()
                raise
        except BaseException:
            store.close()
            if locks is not None:
                locks.close()
            raise
        self._reopenable.name = info.device_id
        self.store = store
        self.health = Health(self.config, self._settings, info, store)
        self._readings = Readings(info, self.telemetry, self._settings.temperature_limit_c)
        self.telemetry.send(Connected(board=info))
        logs.operations.info("Device connected", extra=self.log_fields)

    def release(self, reason: str, at_last: Callable[[], None] = lambda: None) -> None:
        """Tell the lab that the board leaves, and why; close its port and give up its locks.

        at_last is called when all is said and Redis is still connected.
        """
        self.ownership.withdraw(reason)
        with self._in_use:
            if not self.port_released:
                self._reopenable.close()
        self.telemetry.send(Disconnected())
        logs.operations.info("Device disconnected: %s", reason, extra=self.log_fields)
        at_last()
        self.store.close()
        self.ownership.release()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the board for a job; the probe stays away."""
        with self._in_use:
            self._has_job = True
            try:
                yield
            finally:
                self._has_job = False

    @contextmanager
    def _if_idle(self) -> Iterator[bool]:
        """Keep the board if no job has it; yields whether that worked."""
        idle = self._in_use.acquire(blocking=False)
        try:
            yield idle
        finally:
            if idle:
                self._in_use.release()

    def reopen(self) -> bool:
        """Close the board and open it again; False: it is gone. The caller has it in use."""
        return self._reopenable.reopen()

    def unplugged(self) -> bool:
        """Whether the port is gone. No byte is sent, so a busy board can be asked too."""
        return not self.port_released and not self.board.plugged_in()

    def probe(self) -> bool:
        """Read an idle board's counters and gauges; False: it is gone. A busy one is not asked."""
        with self._if_idle() as idle:
            if not idle:
                return True
            try:
                stats = self.board.stats()
            except Fault as fault:
                if fault.graceful_stop:
                    return True
                logs.hardware.warning("%s", fault, extra=self.log_fields | {"code": fault.code})
                return self.reopen()
            self._readings.publish(stats)
            return True

    def self_test(self, test: SelfTest) -> Verdict:
        """Test the board unless a job has it: a failure quarantines it, a pass brings it back."""
        with self._if_idle() as idle:
            if not idle:
                return Verdict.NOT_TESTED

            def run() -> None:
                boards = self.store.boards
                suspect = boards.cordons(self.info.device_id).suspect
                test(self.board, self.info, epoch=boards.next_epoch(), suspect=suspect)

            return self.health.self_test(run, self.reopen)

    def identify(self, duration_s: float = 10.0) -> bool:
        """Have the board blink for a person; False when a job has it. At most 60 s, and 0 ends it.

        Raises BoardFault "unsupported" when the board has no LED, or firmware that cannot blink it.
        """
        with self._if_idle() as idle:
            if idle:
                self.board.identify(duration_s)
            return idle

    def test_thoroughly(self, test: Callable[[Board], str]) -> str | None:
        """Let a long test have the board, opened afresh after it; None: a job has it."""
        with self._if_idle() as idle:
            if not idle or self.port_released:
                return None
            try:
                return test(self.board)
            finally:
                self.reopen()  # it may be in any state

    def release_port(self) -> bool:
        """Close the port for another program, and say so; False while a job has the board."""
        with self._if_idle() as idle:
            if idle:
                self._reopenable.close()
                self.port_released = True
                self.ownership.note(reason=PORT_RELEASED)
                logs.operations.info("Port released", extra=self.log_fields)
            return idle

    def note_upload_speed(self, bytes_per_s: float | None) -> None:
        """Tell the lab how fast a model went over the link, if one did: timeouts depend on it."""
        if bytes_per_s is not None:
            self.ownership.note(upload_bytes_per_s=bytes_per_s)

    def _nobody_waits(self) -> bool:
        """Whether waiting for the board is over: the worker stops, and no job has time left."""
        if not self._leaving():
            return False
        if self._leaving_since_s is None:
            self._leaving_since_s = time.monotonic()
        spent_s = time.monotonic() - self._leaving_since_s
        return not self._has_job or spent_s > self._settings.stop_grace_s + _CLEANUP_S
