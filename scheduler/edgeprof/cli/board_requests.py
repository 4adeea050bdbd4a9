"""What the commands about boards share: who asks, and waiting until a board's worker answers."""

from __future__ import annotations

import time
from typing import Final

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.identity import user_name
from edgeprof.shared.store.boards import PORT_RELEASED, BoardChange, BoardStore
from edgeprof.shared.store.reservations import unknown
from edgeprof.shared.types.board import BoardInfo, BoardState

#: How often the store is looked at for an answer.
LOOK_S: Final = 0.2


def actor() -> str:
    """Return who asks, as a board's history names it."""
    return f"user:{user_name()}"


def last_change_s(boards: BoardStore, name: str) -> float:
    """Return when a board's history was last written to, in seconds since the epoch."""
    return max((change.at_s for change in boards.history(name)), default=0.0)


def answer(
    boards: BoardStore, name: str, since_s: float, asker: str, timeout_s: float
) -> BoardChange:
    """Wait for the entry that the board's worker writes into its history."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        for change in boards.history(name):
            if change.at_s > since_s and change.actor == asker:
                return change
        if time.monotonic() > deadline_s:
            raise InfrastructureError(
                f"the worker of {name} did not answer within {timeout_s:g} s",
                hint="is the board busy or offline? edgeprof boards tells;"
                " its worker answers when it can",
            )
        time.sleep(LOOK_S)


def must_be_known(boards: BoardStore, name: str) -> None:
    """Raise BoardNotFound for a name that is not on the list."""
    if name not in {board.device_id for board in boards.all()}:
        raise unknown(name)


def board_named(boards: BoardStore, name: str) -> BoardInfo:
    """Return a board that is on the list."""
    return next(board for board in boards.all() if board.device_id == name)


def until_released(boards: BoardStore, name: str, timeout_s: float) -> BoardInfo:
    """Wait until a board's port is free, or will not be: it is offline, or the time is up."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        board = board_named(boards, name)
        if is_released(board) or board.state is BoardState.OFFLINE or time.monotonic() > deadline_s:
            return board
        time.sleep(LOOK_S)


def is_released(board: BoardInfo) -> bool:
    """Whether the board's port is free for another program."""
    return PORT_RELEASED in board.reason
