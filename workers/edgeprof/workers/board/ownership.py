"""Whose a board is: locked on this host, announced to the lab, and given back with a reason.

Two fences keep two workers from one board: the locks hold on this host without Redis; the
announcement finds a board of the same name or the same uid on another host (BoardClash).
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import Any, Final

from edgeprof.shared.errors import Fault, HostFault, InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import BoardStore, Owner
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.locks import BoardLock

log = logging.getLogger(__name__)

#: How often a board is announced whole although it has not changed: another program may have
#: spoilt a part of its entry.
_WHOLE_EVERY_S: Final = 120.0


class Ownership:
    """A board that is ours, from take() to release()."""

    def __init__(self, boards: BoardStore, locks: BoardLock, info: BoardInfo, ttl_s: float) -> None:
        """Use take() instead: it makes the board ours first."""
        #: The board's record, as it was last announced or will be announced next.
        self.info = info
        self._boards = boards
        self._locks = locks
        self._ttl_s = ttl_s
        #: The record as it was last announced, and when; none while that is not known.
        self._announced: tuple[BoardInfo, float] | None = None
        self._announcing = threading.Lock()
        self._orders = ""
        self._owner = Owner(host=info.host, lock_domain=locks.lock_domain, uid=info.uid)
        self._troubles = Troubles(log)

    @classmethod
    def take(cls, boards: BoardStore, locks: BoardLock, info: BoardInfo, ttl_s: float) -> Ownership:
        """Lock the board's names and announce it.

        Raises HostFault, BoardClash, or InfrastructureError.

        What was locked before an error stays locked until the caller closes `locks`.
        """
        locks.take("board", info.device_id)
        locks.take("uid", info.uid)
        taken = cls(boards, locks, info, ttl_s)
        boards.announce(taken._owner, info, ttl_s)
        return taken

    @property
    def lock_domain(self) -> str:
        """A name for all processes that the locks keep apart."""
        return self._locks.lock_domain

    def note(self, **fields: Any) -> None:
        """Change the board's record; the next announcement carries the change."""
        self.info = self.info.model_copy(update=fields)

    def announce(
        self, state: BoardState | None = None, job_id: str | None = None, job_user: str = ""
    ) -> None:
        """Announce the board's state to the lab; without a state, only that it is still here.

        Raises BoardClash. Redis being away is logged once: the next heartbeat announces again.
        """
        if state is not None:
            self.note(state=state, job_id=job_id, job_user=job_user)
        try:
            self._announce()
        except InfrastructureError as error:
            self._troubles.say("store", f"board {self.info.device_id}: {error}; trying on")
        else:
            self._troubles.well("store", f"board {self.info.device_id}: Redis is back")

    def beat(self) -> bool:
        """Keep the announcement alive, or announce what has changed.

        Returns whether something may be wanted of the board: some board was cordoned, resumed or
        asked for something since the last beat, or nobody has looked for a while.

        Raises BoardClash. Redis being away is logged, as by announce().
        """
        announced, now_s = self._announced, time.monotonic()
        if announced and announced[0] == self.info and now_s - announced[1] < _WHOLE_EVERY_S:
            with suppress(InfrastructureError):  # the announcement below logs it
                orders = self._boards.beat(self._owner, self.info.device_id, self._ttl_s)
                if orders is not None:
                    wanted, self._orders = orders != self._orders, orders
                    return wanted
        self._orders = ""
        self.announce()
        return True

    def _announce(self) -> None:
        with self._announcing:  # what Redis has last is what we note last
            self._announced, info = None, self.info
            self._boards.announce(self._owner, info, self._ttl_s)
            self._announced = info, time.monotonic()

    def announce_unplugged(self) -> None:
        """Show the board as offline and keep its state: its job has yet to notice and end."""
        self._announced = None
        gone = {"state": BoardState.OFFLINE, "reason": "its port is gone"}
        with suppress(InfrastructureError):
            self._boards.announce(self._owner, self.info.model_copy(update=gone), self._ttl_s)

    def withdraw(self, reason: str) -> None:
        """Tell the lab that the board leaves, and why; it is shown as offline from now on."""
        with suppress(InfrastructureError, Fault):
            self._boards.withdraw(self._owner, self.info, reason)

    def release(self) -> None:
        """Let another process of this host have the board."""
        self._locks.close()


def last_on(boards: BoardStore, config: BoardConfig, settings: Settings) -> list[BoardInfo]:
    """Return the boards that were announced on this port."""
    here = settings.host, config.port
    return [known for known in boards.all() if (known.host, known.url) == here]


def refuse_released_port(boards: BoardStore, config: BoardConfig, settings: Settings) -> None:
    """Raise HostFault when this port is released to another program, such as a debugger."""
    for known in last_on(boards, config, settings):
        if boards.port_wanted(known.device_id):
            raise HostFault(
                f"the port of board {known.device_id} is released to another program",
                code="port_released",
                hint=f"edgeprof boards resume {known.device_id}",
            )
