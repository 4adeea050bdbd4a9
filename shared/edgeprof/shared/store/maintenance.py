"""The custodian's commands of the job store: overdue leases and jobs, lost doorbells, archiving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.client import Pipeline

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.job_values import Aside, Doorbell
from edgeprof.shared.store.packing import Bulk, pack
from edgeprof.shared.store.script import Script, records
from edgeprof.shared.types.job import Attempt, JobState

#: As in lua/keys.lua.
_ATTEMPTS_READ: Final = 100


class StoreMaintenance:
    """Requeues, expires and archives jobs.

    Raises StoreUnavailable or StoreRefused, never an error of redis-py.
    """

    def __init__(self, script: Script) -> None:
        self._script = script

    def due(self) -> set[str]:
        """Return the names of what has something to do; lua/maintenance.lua explains them."""
        return set(self._script.call("due"))

    def expire_leases(
        self, actor: str, lease_s: float, away_s: float, limit: int = 100
    ) -> Sequence[tuple[str, str, JobState]]:
        """End the attempts of workers gone silent: (job, board, state afterwards).

        When nobody gave a sign for `away_s`, Redis was away: then no attempt ends for `lease_s`.
        """
        flat = self._script.call("expire_leases", actor, limit, lease_s, away_s)
        return [(flat[i], flat[i + 1], JobState(flat[i + 2])) for i in range(0, len(flat), 3)]

    def expire_queued(self, actor: str, limit: int = 100) -> Sequence[str]:
        """End jobs that waited past their deadline."""
        expired: list[str] = self._script.call("expire_queued", actor, limit)
        return expired

    def end_reservations(self) -> None:
        """Forget the reservations whose time is over."""
        self._script.call("end_reservations")

    def stale_notifications(
        self, grace_s: float, *, key_prefix: str, separator: str, last_step: int, limit: int = 500
    ) -> Sequence[Doorbell]:
        """Return doorbells to send again; they count as sent from now on."""
        flat = self._script.call(
            "stale_notifications", grace_s, limit, key_prefix, separator, last_step
        )
        return [Doorbell(*flat[i : i + 4]) for i in range(0, len(flat), 4)]

    def unarchived(self, limit: int = 100) -> Sequence[str]:
        """Return finished jobs no archive holds yet, oldest first."""
        found: list[str] = self._script.call("unarchived", limit, "unarchived")
        return found

    def unarchived_count(self) -> int:
        """Return how many finished jobs no archive holds, yet or any more."""

        def ask(pipe: Pipeline) -> None:
            for name in ("unarchived", "rearchive"):
                pipe.zcard(self._script.key(name))

        return sum(self._script.pipelined(ask))

    def archived_ends(self) -> dict[str, float]:
        """Return the jobs archived last and first, of those still here -> when they finished."""
        flat = self._script.call("archived_ends")
        return {flat[i]: float(flat[i + 1]) for i in range(0, len(flat), 2)}

    def archive_lost(self) -> int:
        """Note that the archive is gone; returns how many of its jobs are still here."""
        return int(self._script.call("archive_lost"))

    def rearchivable(self, limit: int = 100) -> Sequence[str]:
        """Return jobs of an archive that is gone, to be archived again."""
        found: list[str] = self._script.call("unarchived", limit, "rearchive")
        return found

    def unreadable(self, job_ids: Sequence[str]) -> None:
        """Put finished jobs aside that the archive cannot keep, so that they delay no others."""
        if job_ids:
            self._script.call("unreadable", *job_ids)

    def retry_unreadable(self) -> int:
        """Let the archive try the jobs that were put aside once more; returns how many."""
        return int(self._script.call("retry_unreadable"))

    def heal(self, page: int = 500) -> None:
        """Remove shared keys of a wrong type, and put jobs back that fell out of their queue."""
        self._script.call("heal", page)

    def take_aside(self, limit: int = 20) -> tuple[list[Aside], int]:
        """Return the entries set aside since the last call, and how many more there are."""
        more, *lines = self._script.call("take_aside", limit)
        taken = [
            Aside(one_line(line["where"]), one_line(line["id"]), one_line(line["why"]))
            for line in records(lines, where=str, id=str, why=str)
        ]
        return taken, int(more)

    def archived(self, job_ids: Sequence[str], ttl_s: float) -> None:
        """Note that an archive holds these jobs, and pack them; Redis forgets them after ttl_s."""
        if job_ids:
            packed = self._packed(job_ids)
            flat = [part for pair in zip(job_ids, packed, strict=True) for part in pair]
            self._script.call("archived", ttl_s, *flat)

    def _packed(self, job_ids: Sequence[str]) -> list[bytes]:
        """Return finished jobs' large parts packed; b"" where that is done or cannot be."""

        def ask(pipe: Pipeline) -> None:
            for job_id in job_ids:
                pipe.hmget(self._script.key(f"job:{job_id}"), "spec", "state")
                pipe.lrange(self._script.key(f"work:{job_id}:attempts"), 0, _ATTEMPTS_READ - 1)
                pipe.lrange(self._script.key(f"job:{job_id}:history"), 0, -1)
                pipe.get(self._script.key(f"work:{job_id}:result"))

        found = self._script.pipelined(ask, raise_on_error=False)
        return [_pack(*found[i : i + 4]) for i in range(0, len(found), 4)]

    def prune(self, limit: int = 500) -> int:
        """Forget archived jobs whose time has come."""
        return int(self._script.call("prune", limit))


def _pack(record: Any, attempts: Any, history: Any, result: Any) -> bytes:
    """Pack what readers would read of a job; b"" where a part of it is a key of another type."""
    if not all(isinstance(part, list) for part in (record, attempts, history)):
        return b""
    spec, state = record
    if spec is None or not isinstance(result, str | None):
        return b""
    attempts = [attempt for attempt in attempts if len(attempt.encode()) <= Attempt.largest_bytes]
    # Only a job that succeeded has a result; another one was planted.
    return pack(Bulk(spec, attempts, history, (result or "") if state == "succeeded" else ""))
