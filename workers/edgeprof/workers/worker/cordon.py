"""A board's cordon, as its worker applies it: which queues it leaves, and when it is tested."""

from __future__ import annotations

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Cordons
from edgeprof.workers.board.health import SelfTest, Verdict
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.selftest.schedule import SelfTestSchedule
from edgeprof.workers.worker.consumer import Consumer, queues_of


class Cordon:
    """The cordon of one board and its host."""

    def __init__(
        self, worker_board: WorkerBoard, consumer: Consumer, self_test: SelfTest, settings: Settings
    ) -> None:
        self._worker_board = worker_board
        self._consumer = consumer
        self._self_test = self_test
        self._schedule = SelfTestSchedule(settings)
        self._known: Cordons | None = None

    def look_again(self) -> None:
        """Ask the store anew before what it said is used again."""
        self._known = None

    def now(self) -> Cordons | None:
        """Return what keeps the board from jobs; None while Redis is away."""
        if self._known is None or self._known.lent:  # a loan may end without a word
            info = self._worker_board.info
            try:
                self._known = self._worker_board.store.boards.cordons(info.device_id, info.host)
            except InfrastructureError:
                self._consumer.expect_silence()
        return self._known

    def apply(self) -> bool:
        """Consume only what the cordon allows, and test the board when a test is due.

        False: the board failed its test and is gone.
        """
        cordons = self.now()
        if cordons is None:
            return True
        queues = queues_of(self._worker_board.info, cordons)
        self._consumer.consume_only(queues)
        if not queues:
            self._consumer.expect_silence()
        if not self._schedule.due(quarantined=cordons.suspect):
            return True
        verdict = self._worker_board.self_test(self._self_test)
        self._schedule.note(verdict, quarantined=cordons.suspect)
        return verdict is not Verdict.GONE
