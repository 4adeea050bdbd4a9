"""A board that can be opened again, with a reset when boards.toml gives a way to reset it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress

from edgeprof.shared.errors import BoardFault, Fault, HostFault, LinkFault
from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.protocols import Board
from edgeprof.workers.board.reset import reset

log = logging.getLogger(__name__)

#: Opens the board on a port. The last argument returns whether to stop waiting for the board.
OpenBoard = Callable[[BoardConfig, Settings, Callable[[], bool]], Board]

_REOPEN_TRIES = 2


class ReopenableBoard:
    """One board, from open() to close()."""

    board: Board

    def __init__(
        self,
        config: BoardConfig,
        settings: Settings,
        open_board: OpenBoard,
        should_stop: Callable[[], bool],
    ) -> None:
        #: On a watched port: the configuration of the board that answers there, once one has.
        self.config = config
        #: What log lines call the board: its id, once that is known.
        self.name = str(config)
        #: Why the board could not be opened again; "" when no more is known than its silence.
        self.gone_because = ""
        self._settings = settings
        self._open_board = open_board
        self._should_stop = should_stop

    def open(self) -> None:
        """Open the board on the port, with the configuration of the board that answers there.

        Raises a Fault.
        """
        try:
            board = self._open()
        except (BoardFault, LinkFault):
            if self.config.reset is None:
                raise
            reset(self.config, self._check_stop)
            board = self._open()
        config = self.config.of(board.hello.uid)
        if config != self.config:
            board.close()
            self.config = config
            board = self._open()
        self.board = board

    def reopen(self) -> bool:
        """Close the board and open it again, with a reset before the second try; False: it is gone.

        The same silicon has to answer: another board on this port is no replacement.
        """
        uid = self.board.hello.uid
        self.close()
        self.gone_because = ""
        for number in range(_REOPEN_TRIES):
            try:
                if number > 0:
                    reset(self.config, self._check_stop)
                board = self._open()
            except Fault as fault:
                if fault.graceful_stop:
                    return False
                if str(fault) != self.gone_because:
                    self.gone_because = str(fault)
                    log.warning("board %s: %s", self.name, fault)
                continue
            if board.hello.uid == uid:
                self.board = board
                return True
            log.error("board %s: another board answers on its port", self.name)
            board.close()
            return False
        return False

    def close(self) -> None:
        """Close the port; a port that is gone already is no trouble."""
        with suppress(Fault):
            self.board.close()

    def _open(self) -> Board:
        return self._open_board(self.config, self._settings, self._should_stop)

    def _check_stop(self) -> None:
        """End a wait for the board that nobody wants any more. Raises HostFault."""
        if self._should_stop():
            raise HostFault("the board worker was stopped", code="worker_stopped")
