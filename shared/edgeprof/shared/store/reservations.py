"""Reservations: for a while a board gets only one user's jobs. Times are of Redis' clock."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from edgeprof.shared.errors import BoardNotFound, UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.script import Script
from edgeprof.shared.types.board import Reservation

#: As LONGEST_RESERVATION_S of lua/keys.lua: whoever leaves for good blocks no board for ever.
LONGEST_RESERVATION_S: Final = 7 * 86400.0


class ReservationStore:
    """Who has which board for himself."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def reserve(self, device_id: str, user: str, for_s: float, reason: str = "") -> float:
        """Keep others' jobs from a board; returns until when, in seconds since the epoch.

        The job that runs there goes on, whosever it is. The user's own reservation is replaced.
        Raises UsageError while another user has the board, and BoardNotFound.
        """
        answer, *said = self._script.call("reserve", device_id, user, for_s, one_line(reason, 300))
        if answer == "unknown":
            raise unknown(device_id)
        if answer == "taken":
            raise _taken(device_id, said[0])
        return float(said[0])

    def release(self, device_id: str, user: str | None) -> bool:
        """End a user's reservation of a board, or with None anybody's; False: there was none.

        Raises UsageError when another user has the board.
        """
        answer, *said = self._script.call("release", device_id, user or "")
        if answer == "taken":
            raise _taken(device_id, said[0])
        return bool(answer == "ok")


def reservation_of(entry: str) -> Reservation | None:
    """Return a reservation from the store's entry; None for an empty or a malformed one."""
    with suppress(ValueError):
        found = Reservation.read(entry)
        return Reservation(
            user=one_line(found.user, 64), until_s=found.until_s, reason=one_line(found.reason, 300)
        )
    return None


def told(found: Reservation) -> str:
    """Return who has a board, until when and why."""
    until = datetime.fromtimestamp(found.until_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"reserved by {found.user} until {until}" + (f": {found.reason}" if found.reason else "")


def unknown(device_id: str) -> BoardNotFound:
    """Return the error for a board that was never announced."""
    return BoardNotFound(f"no board {device_id!r} in the lab", hint="edgeprof boards lists them")


def _taken(device_id: str, entry: str) -> UsageError:
    found = reservation_of(entry)
    by = told(found) if found else "reserved"
    return UsageError(
        f"board {device_id} is {by}",
        hint=f"`edgeprof boards release {device_id} --force` ends it; ask first",
    )
