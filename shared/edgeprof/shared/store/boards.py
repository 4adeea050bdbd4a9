"""Boards in the store: who drives which board, and what the board said it is."""

from __future__ import annotations

import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass, field

import pydantic_core

from edgeprof.shared.errors import BoardNotFound, HostFault
from edgeprof.shared.jobs import BoardInfo, BoardState
from edgeprof.shared.plain import one_line
from edgeprof.shared.store.script import Script, text

log = logging.getLogger(__name__)

#: Who brings a board back from quarantine, in its history.
SELF_TEST = "self-test"

#: What a worker announces once it has closed the port of a board that was drained for that.
PORT_RELEASED = "its port is released"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that drives a board."""

    host: str
    #: Processes of one domain share a folder of board locks, so at most one lives per board.
    domain: str
    uid: str
    pid: int = field(default_factory=os.getpid)
    owner: str = field(default_factory=lambda: secrets.token_hex(8))


class BoardClash(HostFault):
    """Raised when another live worker announced the same board; it stays with the first."""


@dataclass(frozen=True, slots=True)
class BoardChange:
    """One line of a board's history: seconds since the epoch, and what it was made."""

    at_s: float
    state: BoardState
    actor: str
    reason: str


class BoardStore:
    """Announcements with a time to live."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def announce(self, owner: Owner, info: BoardInfo, ttl_s: float) -> None:
        """Say what a board is and does. Raises BoardClash."""
        reply = self._script.call(
            "announce", info.device_id, json.dumps(asdict(owner)), info.model_dump_json(), ttl_s
        )
        if reply[0] == "clash":
            other = pydantic_core.from_json(reply[2])
            same = "" if reply[1] == info.device_id else f" as {reply[1]}"
            raise BoardClash(
                f"board {info.device_id} (uid {info.uid}) is already driven{same} by"
                f" process {other['pid']} on host {other['host']}",
                code="board_claimed",
                hint="stop that agent, or take the board out of one of the two boards.toml",
            )

    def withdraw(self, owner: Owner, info: BoardInfo, reason: str) -> None:
        """Say goodbye: the board stays on the list, offline, with the reason."""
        gone = info.model_copy(
            update={"state": BoardState.OFFLINE, "reason": reason, "job_id": None}
        )
        self.announce(owner, gone, 0)

    def all(self) -> list[BoardInfo]:
        """Return all boards the lab has heard of, by name; the silent ones as offline."""
        now, *flat = self._script.call("boards")
        boards = []
        rows = zip(flat[::4], flat[1::4], flat[2::4], flat[3::4], strict=True)
        for announced, seen, until, held in rows:
            changes: dict[str, object] = {"seen_s": float(seen)}
            try:
                info = BoardInfo.read(announced)
            except ValueError as error:
                log.warning("a board's announcement is left out: %s", one_line(str(error), 200))
                continue
            if 0 < float(until) < float(now):
                silent_s = float(now) - float(seen)
                changes["state"] = BoardState.OFFLINE
                changes["reason"] = (
                    f"its worker on {info.host} has been silent for {silent_s:.0f} s"
                )
                changes["job_id"] = None
            elif held and info.state is not BoardState.OFFLINE:
                keeping = pydantic_core.from_json(held)
                reason = keeping["reason"]
                if info.reason == PORT_RELEASED:
                    reason += f"; {PORT_RELEASED}"
                changes |= {"state": BoardState(keeping["state"]), "reason": reason}
            boards.append(info.model_copy(update=changes))
        return sorted(boards, key=lambda board: board.device_id)

    def hold(
        self,
        device_id: str,
        state: BoardState,
        actor: str,
        reason: str,
        *,
        release_port: bool = False,
    ) -> None:
        """Give a board no more jobs (DRAINING), or only those for itself (QUARANTINED). What it runs goes on.

        With release_port its worker also closes the port, until the board is resumed. Raises BoardNotFound.
        """
        said, release = one_line(reason), int(release_port)
        reply = self._script.call("hold_board", device_id, state, actor, said, "", release)
        if reply == "unknown":
            raise _unknown(device_id)

    def resume(self, device_id: str, actor: str, reason: str) -> None:
        """Let a board take jobs again. Raises BoardNotFound."""
        self.hold(device_id, BoardState.ONLINE, actor, reason)

    def passed_self_test(self, device_id: str) -> None:
        """Let a quarantined board take jobs again; one that somebody drained meanwhile stays so."""
        self._self_tested(device_id, BoardState.ONLINE, "passed")

    def failed_self_test(self, device_id: str, reason: str) -> None:
        """Note why a quarantined board stays so."""
        self._self_tested(device_id, BoardState.QUARANTINED, f"failed: {reason}")

    def _self_tested(self, device_id: str, state: BoardState, reason: str) -> None:
        self._script.call(
            "hold_board", device_id, state, SELF_TEST, one_line(reason), BoardState.QUARANTINED
        )

    def held(self, device_id: str) -> BoardState | None:
        """Return DRAINING or QUARANTINED for a board that is held, else None."""
        state = self._script.call("held", device_id)
        return BoardState(state) if state else None

    def port_wanted(self, device_id: str) -> bool:
        """Whether somebody wants a board's port for another program."""
        key = self._script.key("boards:held")
        held = self._script.guarded(lambda redis: text(redis.hget(key, device_id)))
        return bool(held and pydantic_core.from_json(held).get("release_port"))

    def ask_identify(self, device_id: str, actor: str) -> None:
        """Have a board make itself known to a person; its history tells the answer. Raises BoardNotFound."""
        if self._script.call("ask_identify", device_id, actor) == "unknown":
            raise _unknown(device_id)

    def take_identify(self, device_id: str) -> str:
        """Return who wants the board to make itself known, once; "" when nobody does."""
        return str(self._script.call("take_identify", device_id))

    def identified(self, device_id: str, actor: str, answer: str) -> None:
        """Answer the one who asked."""
        self._script.call("identified", device_id, actor, answer)

    def next_epoch(self) -> int:
        """Return a fencing token for a self-test: a board wants to see them grow."""
        return int(self._script.call("next_epoch"))

    def history(self, device_id: str) -> list[BoardChange]:
        """Return when a board was drained, quarantined and resumed, by whom and why; oldest first."""
        key = self._script.key(f"board:{device_id}:history")
        lines = self._script.guarded(lambda redis: text(redis.lrange(key, 0, -1)))
        return [
            BoardChange(line["s"], BoardState(line["state"]), line["actor"], line["reason"])
            for line in map(pydantic_core.from_json, lines)
        ]

    def forget(self, device_id: str) -> bool:
        """Take a board that nobody announces off the list."""
        return bool(self._script.call("forget_board", device_id))


def _unknown(device_id: str) -> BoardNotFound:
    return BoardNotFound(f"no board {device_id!r} in the lab", hint="edgeprof boards lists them")
