"""Reading jobs from the store: views, states, histories and events. It changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline

from edgeprof.shared.errors import InfrastructureError, JobNotFound, StoreRefused
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.job_values import Event, QueueDepth, Transition
from edgeprof.shared.store.job_views import view_of
from edgeprof.shared.store.packing import Bulk, unpack
from edgeprof.shared.store.script import Script, records, stream_entries, text
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobView

log = logging.getLogger(__name__)

#: Jobs read in one call. Redis does nothing else meanwhile.
_READ_CHUNK: Final = 500

#: Lines of a job's history that are read; the store keeps no more.
HISTORY_READ: Final = 1000

_TRANSITION: Final = ("from", "to", "actor", "reason")


class JobReader:
    """Everything that can be asked about jobs.

    Raises StoreUnavailable or StoreRefused, never an error of redis-py.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._unreadable = Troubles(log)

    def view(self, job_id: str) -> JobView:
        """Return one job as users see it, or raise JobNotFound."""
        views = self.views([job_id])
        if not views:
            self._must_exist(job_id)
            raise _unreadable(job_id)
        return views[0]

    def views(self, job_ids: Sequence[str]) -> list[JobView]:
        """Return several jobs, in order, without unknown ones and those that cannot be read."""
        found = []
        done = 0
        while done < len(job_ids):
            replies = self._script.call_for_bytes("read", *job_ids[done : done + _READ_CHUNK])
            # As many as fit into one reply.
            chunk = job_ids[done : done + len(replies)]
            done += len(replies)
            for job_id, reply in zip(chunk, replies, strict=True):
                try:
                    view = view_of(job_id, reply)
                except (ValueError, KeyError) as error:
                    said = "unreadable record: " + one_line(str(error), 200)
                    self._unreadable.say(job_id, f"job {one_line(job_id, 64)}: {said}")
                else:
                    if view is not None:
                        found.append(view)
        return found

    def state(self, job_id: str) -> JobState:
        """Return only the state, which is cheap enough to ask for often."""
        state = self._script.guarded(lambda redis: text(redis.hget(self._key(job_id), "state")))
        if state is None:
            raise not_found(job_id)
        try:
            return JobState(state)
        except ValueError:
            raise _unreadable(job_id) from None

    def ids(self, state: JobState | None = None, limit: int = 50, offset: int = 0) -> list[str]:
        """Return job ids, newest first."""
        name = "jobs" if state is None else f"jobs:{state}"
        return self._ids(name, offset, limit)

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state."""

        def ask(pipe: Pipeline) -> None:
            for state in JobState:
                pipe.zcard(self._script.key(f"jobs:{state}"))

        return dict(zip(JobState, self._script.pipelined(ask), strict=True))

    def dead_letters(self, limit: int = 50, offset: int = 0) -> list[str]:
        """Return jobs given up after their last attempt, newest first."""
        return self._ids("dead", offset, limit)

    def spec(self, job_id: str) -> JobSpec:
        """Return a job's specification, or raise JobNotFound."""
        found = self._script.guarded(lambda redis: text(redis.hget(self._key(job_id), "spec")))
        try:
            if found is None and (bulk := self._bulk(job_id)):
                found = bulk.spec
            if found is None:
                raise not_found(job_id)
            return JobSpec.read(found)
        except ValueError:
            raise _unreadable(job_id) from None

    def traceparents(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Return where each job's trace began, for log lines; "" where it cannot be read."""

        def ask(pipe: Pipeline) -> None:
            for job_id in job_ids:
                pipe.hget(self._key(job_id), "traceparent")

        found: list[Any] = []
        with suppress(InfrastructureError):
            found = self._script.pipelined(ask, raise_on_error=False) if job_ids else []
        told = dict.fromkeys(job_ids, "")
        return told | {
            job_id: said
            for job_id, said in zip(job_ids, found, strict=False)
            if isinstance(said, str)
        }

    def history(self, job_id: str) -> list[Transition]:
        """Return every transition of a job: when, from, to, who, why."""
        lines = self._script.guarded(
            lambda redis: text(redis.lrange(self._key(job_id) + ":history", -HISTORY_READ, -1))
        )
        with suppress(ValueError):
            if bulk := self._bulk(job_id):
                lines = [*bulk.history, *lines]
        return [
            Transition(line["s"], line["from"], line["to"], line["actor"], line["reason"])
            for line in records(lines, s=float, **dict.fromkeys(_TRANSITION, str))
        ]

    def events(
        self, job_id: str, after: str = "0", limit: int = 100, block_s: float | None = None
    ) -> list[Event]:
        """Return events after a cursor; with block_s, wait that long for the first."""

        def read(redis: Redis) -> Any:
            block_ms = None if block_s is None else max(1, int(block_s * 1000))
            return redis.xread({self._key(job_id) + ":events": after}, limit, block_ms)

        found = []
        for cursor, fields in stream_entries(self._script.guarded_patiently(read)):
            named = {name: one_line(value) for name, value in fields.items()}
            kind = named.pop("kind", "")
            found.append(Event(cursor, int(cursor.split("-")[0]) / 1000, kind, named))
        return found

    def queue_depths(self) -> list[QueueDepth]:
        """Return what waits in the queues in use."""
        rows = self._script.call("queue_depths")
        return [
            QueueDepth(queue, int(jobs), float(age_s), int(expected), float(expected_s))
            for queue, jobs, age_s, expected, expected_s in rows
        ]

    def dead_letter_count(self) -> int:
        """Return how many jobs were given up after their last attempt."""
        return int(self._script.guarded(lambda redis: redis.zcard(self._script.key("dead"))))

    def _key(self, job_id: str) -> str:
        return self._script.key(f"job:{job_id}")

    def _bulk(self, job_id: str) -> Bulk | None:
        """Return the packed part of a job's record; None while it is not packed."""
        key = self._script.key(f"work:{job_id}:packed")
        packed: Any = self._script.guarded(lambda redis: redis.get(key))
        return unpack(packed) if packed else None

    def _ids(self, name: str, offset: int, limit: int) -> list[str]:
        key = self._script.key(name)
        found: list[str] = self._script.guarded(
            lambda redis: text(redis.zrevrange(key, offset, offset + limit - 1))
        )
        return found

    def _must_exist(self, job_id: str) -> None:
        self.state(job_id)


def not_found(job_id: str) -> JobNotFound:
    return JobNotFound(
        f"no job {job_id!r} in the store",
        hint="edgeprof jobs lists them; edgeprof results the rest",
    )


def _unreadable(job_id: str) -> StoreRefused:
    return StoreRefused(
        f"the record of job {job_id} cannot be read by this version",
        hint="it may be of a newer edgeprof: update this one",
    )
