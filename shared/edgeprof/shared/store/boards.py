"""Boards in the store: their announcements, their cordons and their histories."""

from __future__ import annotations

import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Literal

from edgeprof.shared.errors import BoardNotFound, HostFault
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.spelling import suggestion
from edgeprof.shared.store.reservations import reservation_of
from edgeprof.shared.store.script import LeftOut, Script, records, text
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.board import BoardInfo, BoardState

log = logging.getLogger(__name__)

#: The actor in a board's history when a self-test brought it back from quarantine.
SELF_TEST = "self-test"

#: The reason that a worker announces once it has closed the port of a board drained for that.
PORT_RELEASED = "its port is released"


#: What a person may ask of a board: that it blinks; that its agent's firmware is put onto it; that
#: all is tested that can be.
Request = Literal["identify", "upgrade", "thorough"]

#: How the answer to a request begins when the board has its agent's firmware.
UPGRADED = "upgraded"


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that drives a board."""

    host: str
    #: Processes of one lock domain share a folder of board locks, so at most one lives per board.
    lock_domain: str
    uid: str
    pid: int = field(default_factory=os.getpid)
    owner: str = field(default_factory=lambda: secrets.token_hex(8))


class BoardClash(HostFault):
    """Raised when another live worker announced the same board; it stays with the first."""


@dataclass(frozen=True, slots=True)
class BoardChange:
    """One line of a board's history. Time in seconds since the epoch."""

    at_s: float
    state: BoardState
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Cordons:
    """What keeps a board from jobs: a cordon of its own, and one of its host."""

    #: DRAINING, QUARANTINED or None.
    board: BoardState | None = None
    #: Whether it is quarantined for something its host lacks, so that it cannot run its own jobs.
    for_host: bool = False
    #: Whether somebody wants its port for another program.
    release_port: bool = False
    #: Whether that program has it on loan, which ends by itself.
    lent: bool = False
    #: Why its host is cordoned; "" when it is not.
    host: str = ""
    #: Whether a person drained the host, so that no self-test brings it back.
    host_drained: bool = False
    #: The only user whose jobs it gets now; "" when it is not reserved.
    reserved_for: str = ""

    @property
    def takes_own_jobs(self) -> bool:
        """Whether jobs that name this very board are given to it."""
        return not self.host and not self.for_host and self.board is not BoardState.DRAINING

    @property
    def listens_to_platform(self) -> bool:
        """Whether doorbells of its platform are for it, too.

        On a reserved board those of other users' jobs would be lost. The custodian tells it of
        its user's jobs by its own queue.
        """
        return self.board is None and not self.host and not self.reserved_for

    @property
    def suspect(self) -> bool:
        """Whether a passed self-test would let it take jobs again."""
        return self.board is BoardState.QUARANTINED or bool(self.host and not self.host_drained)


class BoardStore:
    """Boards as their workers announce them, with a time to live, and what keeps them from jobs."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._left_out = Troubles(log)

    def announce(self, owner: Owner, info: BoardInfo, ttl_s: float) -> None:
        """Announce a board and its state. Raises BoardClash."""
        reply = self._script.call(
            "announce", info.device_id, json.dumps(asdict(owner)), info.model_dump_json(), ttl_s
        )
        if reply[0] == "clash":
            other = next(iter(records([reply[2]], pid=int, host=str)), {"pid": "?", "host": "?"})
            same = "" if reply[1] == info.device_id else f" as {reply[1]}"
            raise BoardClash(
                f"board {info.device_id} (uid {info.uid}) is already driven{same} by"
                f" process {other['pid']} on host {one_line(str(other['host']), 64)}",
                code="board_claimed",
                hint="stop that agent, or take the board out of one of the two boards.toml",
            )

    def beat(self, owner: Owner, device_id: str, ttl_s: float) -> str | None:
        """Keep an announcement alive; returns when something was last wanted of boards.

        None: the board has to be announced, because this owner's announcement is not there.
        """
        reply = self._script.call("beat", device_id, json.dumps(asdict(owner)), ttl_s)
        return None if reply is None else str(reply)

    def withdraw(self, owner: Owner, info: BoardInfo, reason: str) -> None:
        """Leave the board on the list, offline, with the reason."""
        gone = info.model_copy(
            update={"state": BoardState.OFFLINE, "reason": reason, "job_id": None}
        )
        self.announce(owner, gone, 0)

    def all(self) -> list[BoardInfo]:
        """Return all announced boards, by name; those whose worker is silent as offline."""
        now, *flat = self._script.call("boards")
        boards, left_out = [], LeftOut()
        rows = zip(*(flat[column::6] for column in range(6)), strict=True)
        for announced, seen, until, own_cordon, host_cordon, reserved in rows:
            changes: dict[str, object] = {
                "seen_s": float(seen),
                "reservation": reservation_of(reserved),
            }
            try:
                info = _read(announced)
            except ValueError as error:
                left_out.add(error)
                continue
            cordoned = _cordon_of(own_cordon)
            if 0 < float(until) < float(now):
                silent_s = float(now) - float(seen)
                changes["state"] = BoardState.OFFLINE
                changes["reason"] = (
                    f"its worker on {info.host} has been silent for {silent_s:.0f} s"
                )
                changes["job_id"] = None
            elif host_cordon and info.state is not BoardState.OFFLINE:
                drained = is_drained(host_cordon)
                said = "drained" if drained else "cordoned"
                changes |= {
                    "state": BoardState.DRAINING if drained else BoardState.QUARANTINED,
                    "reason": f"host {info.host} is {said}: {reason_of(host_cordon)}",
                }
            elif cordoned and info.state is not BoardState.OFFLINE:
                released = f"; {PORT_RELEASED}" if info.reason == PORT_RELEASED else ""
                changes |= {"state": cordoned[0], "reason": cordoned[1] + released}
            boards.append(info.model_copy(update=changes))
        left_out.tell(self._left_out, "announcement(s) of boards")
        return sorted(boards, key=lambda board: board.device_id)

    def named(self, device_id: str) -> BoardInfo:
        """Return one board. Raises BoardNotFound."""
        for board in self.all():
            if board.device_id == device_id:
                return board
        raise self.unknown(device_id)

    def unknown(self, device_id: str) -> BoardNotFound:
        """Return the error for a name that no board has."""
        near = suggestion(device_id, [board.device_id for board in self.all()])
        return BoardNotFound(
            f"no board {device_id!r} in the lab{near}", hint="edgeprof boards lists them"
        )

    def cordon(
        self,
        device_id: str,
        state: BoardState,
        actor: str,
        reason: str,
        *,
        for_host: bool = False,
        release_port: bool = False,
    ) -> None:
        """Keep a board from new jobs; the one it runs goes on. Raises BoardNotFound.

        DRAINING keeps it from all. QUARANTINED leaves it the jobs that name it, except with
        for_host, when its host lacks something. With release_port its worker also closes the port,
        until the board is resumed.
        """
        flag = "of_host" if for_host else "release_port" if release_port else ""
        answer = self._script.call(
            "cordon_board", device_id, state, actor, one_line(reason), "", flag
        )
        if answer == "unknown":
            raise self.unknown(device_id)

    def resume(self, device_id: str, actor: str, reason: str) -> None:
        """Let a board take jobs again. Raises BoardNotFound."""
        self.cordon(device_id, BoardState.ONLINE, actor, reason)

    def passed_self_test(self, device_id: str) -> None:
        """Let a quarantined board take jobs again; one that was drained meanwhile stays drained."""
        self._self_tested(device_id, BoardState.ONLINE, "passed")

    def failed_self_test(self, device_id: str, reason: str) -> None:
        """Note why a quarantined board stays so."""
        self._self_tested(device_id, BoardState.QUARANTINED, f"failed: {reason}")

    def _self_tested(self, device_id: str, state: BoardState, reason: str) -> None:
        self._script.call(
            "cordon_board",
            device_id,
            state,
            SELF_TEST,
            one_line(reason),
            BoardState.QUARANTINED,
            "",
        )

    def cordons(self, device_id: str, host: str = "") -> Cordons:
        """Return what keeps a board of this host from jobs."""
        state, for_host, release, cordon, user, lent = self._script.call("cordons", device_id, host)
        return Cordons(
            BoardState(state) if state else None,
            for_host=bool(for_host),
            release_port=bool(release),
            lent=bool(lent),
            host=reason_of(cordon) if cordon else "",
            host_drained=is_drained(cordon),
            reserved_for=user,
        )

    def port_wanted(self, device_id: str) -> bool:
        """Whether somebody wants a board's port for another program."""
        return self.cordons(device_id).release_port

    def ask(self, request: Request, device_id: str, actor: str) -> None:
        """Ask a board's worker; the answer comes into its history. Raises BoardNotFound."""
        if self._script.call("ask", request, device_id, actor) == "unknown":
            raise self.unknown(device_id)

    def take_request(self, request: Request, device_id: str) -> str:
        """Return who asked for this, once; "" when nobody does."""
        return str(self._script.call("take_request", request, device_id))

    def answer(self, device_id: str, actor: str, answer: str) -> None:
        """Write the answer to a request into the board's history."""
        self._script.call("answer_request", device_id, actor, one_line(answer))

    def next_epoch(self) -> int:
        """Return a fencing token for a self-test: boards refuse one below the last they saw."""
        return int(self._script.call("next_epoch"))

    def history(self, device_id: str) -> list[BoardChange]:
        """Return when a board was cordoned and resumed, by whom and why; oldest first."""
        key = self._script.key(f"board:{device_id}:history")
        lines = self._script.guarded(lambda redis: text(redis.lrange(key, 0, -1)))
        return [
            BoardChange(line["s"], BoardState(line["state"]), line["actor"], line["reason"])
            for line in records(lines, s=float, state=str, actor=str, reason=str)
            if line["state"] in set(BoardState)
        ]

    def forget(self, device_id: str) -> bool:
        """Take a board that nobody announces off the list."""
        return bool(self._script.call("forget_board", device_id))


@lru_cache(maxsize=1024)
def _read(announced: str) -> BoardInfo:
    """Parse an announcement; most are the same as when the boards were last listed."""
    return BoardInfo.read(announced)


def _cordon_of(entry: str) -> tuple[BoardState, str] | None:
    """Return state and reason of a cordon's entry; None for an empty or a malformed one."""
    for line in records([entry], state=str, reason=str):
        if line["state"] in {BoardState.DRAINING, BoardState.QUARANTINED}:
            return BoardState(line["state"]), one_line(line["reason"])
    return None


def is_drained(cordon: str) -> bool:
    """Whether a person drained the host that has this entry of the store; "" is none."""
    return any(line["drained"] for line in records([cordon] if cordon else [], drained=bool))


def reason_of(cordon: str) -> str:
    """Return why a host is cordoned, from the store's entry."""
    return next((one_line(line["reason"]) for line in records([cordon], reason=str)), "unknown")
