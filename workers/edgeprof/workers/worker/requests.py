"""What people ask of a board: that it blinks, is upgraded, or is tested thoroughly.

What takes longer than a beat is done in a thread, one request at a time; its answer comes into the
board's history.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Final

from edgeprof.shared.errors import EdgeprofError, Fault, InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import PORT_RELEASED, Request
from edgeprof.shared.telemetry import logs
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.selftest.thorough import examine
from edgeprof.workers.worker.upgrade import upgrade

log = logging.getLogger(__name__)


class Requests:
    """The requests to one board."""

    def __init__(
        self, worker_board: WorkerBoard, settings: Settings, leaving: threading.Event
    ) -> None:
        """leaving: the worker is to end, and what is being done is broken off."""
        self._worker_board = worker_board
        self._settings = settings
        self._leaving = leaving
        self._thread: threading.Thread | None = None

    def look(self) -> bool:
        """Do what was asked for; False: one request is still being done, so look again later.

        Raises InfrastructureError.
        """
        boards, name = self._worker_board.store.boards, self._worker_board.info.device_id
        if actor := boards.take_request("identify", name):
            boards.answer(name, actor, self._identify())
        for request in _LONG:
            if self._thread is not None and self._thread.is_alive():
                return False
            if actor := boards.take_request(request, name):
                self._thread = threading.Thread(
                    target=self._carry_out, args=(request, actor), name=request
                )
                self._thread.start()
        return True

    def _identify(self) -> str:
        if self._worker_board.port_released:
            return f"cannot blink: {PORT_RELEASED}"
        try:
            return "blinks" if self._worker_board.identify() else "busy with a job"
        except Fault as fault:
            return f"cannot blink: {fault}"

    def _carry_out(self, request: Request, actor: str) -> None:
        try:
            answer = _LONG[request](self)
        except EdgeprofError as error:
            answer = f"not done: {error}"
        except Exception as error:  # who asked waits for an answer, also to a bug of ours
            log.exception("%s failed", request)
            answer = f"not done: unexpected {type(error).__name__}: {error}"
        logs.operations.info("%s: %s", request, answer, extra=self._worker_board.log_fields)
        with contextlib.suppress(InfrastructureError):  # who asked is told that nobody answered
            boards = self._worker_board.store.boards
            boards.answer(self._worker_board.info.device_id, actor, answer)

    def _upgrade(self) -> str:
        return upgrade(self._worker_board, self._settings, self._check_stop)

    def _test(self) -> str:
        def test(board: Board) -> str:
            findings = examine(
                board,
                self._worker_board.info,
                clock_s=self._settings.selftest_clock_s,
                next_epoch=self._worker_board.store.boards.next_epoch,
                check_stop=self._check_stop,
            )
            return "\n".join(map(str, findings))

        return self._worker_board.test_thoroughly(test) or "not done: busy with a job"

    def _check_stop(self) -> None:
        if self._leaving.is_set():
            raise EdgeprofError("its worker stopped meanwhile; ask again")


_LONG: Final[dict[Request, Callable[[Requests], str]]] = {
    "upgrade": Requests._upgrade,  # noqa: SLF001 - the class's own table
    "thorough": Requests._test,  # noqa: SLF001
}
