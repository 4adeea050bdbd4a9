"""What the commands about boards share: who asks, and waiting until a board's worker answers."""

from __future__ import annotations

import time

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.identity import user_name
from edgeprof.shared.store.boards import BoardChange, BoardStore
from edgeprof.shared.store.released_port import LOOK_S


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
