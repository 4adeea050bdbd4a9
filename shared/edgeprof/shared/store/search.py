"""Searches for jobs by user, sweep and board.

The store has no index for these: jobs are read newest first, a page at a time, so memory stays
bounded however many there are.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core
from redis import Redis
from redis.client import Pipeline

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.packing import Bulk, unpack
from edgeprof.shared.store.script import Script
from edgeprof.shared.types.job import JobState, board_queue

log = logging.getLogger(__name__)

#: Ids read at once; their records are a few megabytes at most.
PAGE: Final = 500

#: States of jobs that can still be cancelled.
OPEN: Final = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs are meant; a field that is None matches every job.

    `board` means every job for this board, and every job that was tried on it.
    """

    user: str | None = None
    board: str | None = None
    sweep_id: str | None = None

    def __bool__(self) -> bool:
        """Whether any field is set."""
        return (self.user, self.board, self.sweep_id) != (None, None, None)


@dataclass(slots=True)
class Cancelled:
    """How many jobs were cancelled at once, and how many running ones were asked to stop."""

    cancelled: int = 0
    asked_to_stop: int = 0


class JobSearch:
    """Searches over the whole store. Raises StoreUnavailable or StoreRefused."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def newest(self, name: str, where: JobFilter, limit: int) -> list[str]:
        """Return the newest `limit` ids of the index `name` that match, newest first."""
        found: list[str] = []
        for page in self._pages(name):
            found += self._matching([job_id for job_id, _ in page], where)
            if len(found) >= limit:
                return found[:limit]
        return found

    def count_open(self, where: JobFilter) -> int:
        """Return how many jobs that match are queued or running."""
        return sum(
            len(self._matching([job_id for job_id, _ in page], where))
            for state in OPEN
            for page in self._pages(f"jobs:{state}")
        )

    def cancel_open(self, where: JobFilter, actor: str, reason: str) -> Cancelled:
        """Cancel every match that is queued, and ask the workers of those that run.

        Jobs submitted after the call began are left alone.
        """
        done = Cancelled()
        asked: set[str] = set()
        newest = self._newest_s()
        # A job may start, or return to its queue, while we look: look again until nothing is new.
        while True:
            before = (done.cancelled, len(asked))
            for state in OPEN:
                for page in self._pages(f"jobs:{state}"):
                    ids = [job_id for job_id, created_s in page if created_s <= newest]
                    self._cancel(self._matching(ids, where), actor, one_line(reason), done, asked)
            if (done.cancelled, len(asked)) == before:
                done.asked_to_stop = len(asked)
                return done

    def _cancel(
        self, ids: Sequence[str], actor: str, reason: str, done: Cancelled, asked: set[str]
    ) -> None:
        calls = [("cancel", job_id, actor, reason) for job_id in ids]
        for job_id, state in zip(ids, self._script.call_each(calls), strict=True):
            if state == JobState.CANCELLED:
                done.cancelled += 1
            elif state == JobState.RUNNING:
                asked.add(job_id)

    def _newest_s(self) -> float:
        newest = self._entries(self._script.key("jobs"), 0, 0)
        return newest[0][1] if newest else 0.0

    def _entries(self, key: str, first: int, last: int) -> list[tuple[str, float]]:
        """Return the entries of these ranks, the highest score first."""
        entries: Any = self._script.guarded(
            lambda redis: redis.zrange(key, first, last, desc=True, withscores=True)
        )
        return [(entry[0].decode(errors="replace"), float(entry[1])) for entry in entries]

    def _pages(self, name: str) -> Iterator[list[tuple[str, float]]]:
        """Yield (id, score) of an index, newest first; entries that come or go hide no others."""
        key = self._script.key(name)
        last: tuple[float, str] | None = None
        while True:
            start = 0 if last is None else self._rank_after(key, *last)
            page = self._entries(key, start, start + PAGE - 1)
            if not page:
                return
            fresh = [entry for entry in page if last is None or (entry[1], entry[0]) < last]
            last = min((score, job_id) for job_id, score in page)
            if fresh:
                yield fresh

    def _rank_after(self, key: str, score: float, job_id: str) -> int:
        """Return the rank after the last entry seen; when it is gone, where lower scores begin."""

        def ask(pipe: Pipeline) -> None:
            pipe.zrevrank(key, job_id)
            pipe.zcount(key, f"({score!r}", "+inf")

        rank, newer = self._script.pipelined(ask)
        return int(newer) if rank is None else int(rank) + 1

    def _matching(self, ids: Sequence[str], where: JobFilter) -> list[str]:
        """Return those ids whose jobs match, in their order."""
        if not where or not ids:
            return list(ids)

        def ask(pipe: Pipeline) -> None:
            for job_id in ids:
                pipe.hmget(self._script.key(f"job:{job_id}"), "user", "queue", "spec")
                pipe.lrange(self._script.key(f"work:{job_id}:attempts"), 0, -1)

        replies = self._script.pipelined(ask, raise_on_error=False)
        rows = [*zip(ids, replies[::2], replies[1::2], strict=True)]
        bulks = self._packed([job_id for job_id, record, _ in rows if _lacks_spec(record)])
        for i, (job_id, record, _) in enumerate(rows):
            if bulk := bulks.get(job_id):
                rows[i] = (job_id, [*record[:2], bulk.spec], bulk.attempts)
        return [job_id for job_id, record, tries in rows if _matches(record, tries, where)]

    def _packed(self, ids: Sequence[str]) -> dict[str, Bulk]:
        """Return the packed records of these jobs, without those that cannot be read."""
        if not ids:
            return {}

        def ask(redis: Redis) -> list[Any]:
            with redis.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.get(self._script.key(f"work:{job_id}:packed"))
                return pipe.execute(raise_on_error=False)

        found = self._script.guarded(ask)
        bulks = {}
        for job_id, packed in zip(ids, found, strict=True):
            with suppress(ValueError):
                if isinstance(packed, bytes):
                    bulks[job_id] = unpack(packed)
        return bulks


def _lacks_spec(record: Any) -> bool:
    return isinstance(record, list) and record[2] is None


def _matches(record: Any, attempts: Any, where: JobFilter) -> bool:
    if isinstance(record, Exception) or isinstance(attempts, Exception):
        return False  # a key of another type: no job of ours
    user, queue, spec = record
    if where.user is not None and where.user != user:
        return False
    if where.sweep_id is not None and where.sweep_id != _field(spec, "sweep_id"):
        return False
    if where.board is None or queue == board_queue(where.board):
        return True
    return any(where.board == _field(attempt, "device_id") for attempt in attempts)


def _field(text: str | None, name: str) -> Any:
    """Return a field of a JSON object; None when the text is not one."""
    try:
        read = pydantic_core.from_json(text or "")
    except ValueError:
        return None
    return read.get(name) if isinstance(read, dict) else None
