"""Waits until a board's worker has let go of its port."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from edgeprof.shared.store.boards import PORT_RELEASED, BoardStore
from edgeprof.shared.types.board import BoardInfo, BoardState

#: How often the store is looked at.
LOOK_S: Final = 0.2


def until_released(
    boards: BoardStore,
    name: str,
    timeout_s: float = math.inf,
    on_look: Callable[[BoardInfo], None] = lambda _: None,
) -> BoardInfo:
    """Wait until a board's port is free, or will not be: it is offline, or the time is up."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        board = boards.named(name)
        if is_released(board) or board.state is BoardState.OFFLINE or time.monotonic() > deadline_s:
            return board
        on_look(board)
        time.sleep(LOOK_S)


def is_released(board: BoardInfo) -> bool:
    """Whether the board's port is free for another program."""
    return PORT_RELEASED in board.reason
