"""Jobs in the store: typed calls around the script in lua/, which keeps invariants 1 to 4."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from redis import Redis
from redis.client import Pipeline

from edgeprof.shared.errors import Fault, InfrastructureError, JobError, JobNotFound, StoreRefused
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.job_values import Claim, Event, NewJob, NoClaim, Renewal, Transition
from edgeprof.shared.store.job_views import first_wrong, view_of
from edgeprof.shared.store.script import Script, records, text
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec, JobState
from edgeprof.shared.types.result import JobResult, JobView
from edgeprof.shared.types.wire import is_name

log = logging.getLogger(__name__)

#: Jobs written at once, all or none. Redis does nothing else meanwhile: about half a second.
SUBMIT_CHUNK: Final = 10_000

#: Jobs read in one call. Redis does nothing else meanwhile.
_READ_CHUNK: Final = 500

#: Calls of one claim: each takes thousands of entries out of the way that are no jobs, and lets others to Redis.
_CLAIM_CALLS: Final = 50

#: Lines of a job's history that are read; the store keeps no more.
HISTORY_READ: Final = 1000


_TRANSITION: Final = ("from", "to", "actor", "reason")


class JobStore:
    """All that can happen to a job. Raises StoreUnavailable or StoreRefused, nothing of redis-py."""

    def __init__(
        self, script: Script, until_written: Callable[[Redis], None] | None = None
    ) -> None:
        """until_written: waits until what was submitted is on the disk of this Redis."""
        self._script = script
        self._unreadable = Troubles(log)
        self._until_written = until_written

    # --- the client's side

    def submit(self, jobs: Sequence[NewJob], actor: str) -> None:
        """Write jobs as queued. When this returns they are the lab's; repeating it is harmless."""
        for start in range(0, len(jobs), SUBMIT_CHUNK):
            args: list[Any] = []
            for job in jobs[start : start + SUBMIT_CHUNK]:
                spec = job.spec
                args += (
                    job.id,
                    spec.model_dump_json(),
                    spec.schema_version,
                    spec.target.queue,
                    spec.target.platform or "",
                    spec.priority,
                    spec.user,
                    spec.queue_timeout_s,
                    spec.max_attempts,
                    job.traceparent,
                    spec.label,
                )
            self._script.call("submit", actor, *args)
        if self._until_written:
            self._script.guarded(self._until_written)

    def cancel(self, job_id: str, actor: str, reason: str) -> JobState:
        """Cancel a queued job; ask the worker of a running one. Returns the state afterwards."""
        self._must_exist(job_id)
        state = self._script.call("cancel", job_id, actor, one_line(reason))
        if not state:  # forgotten between the two calls
            raise _not_found(job_id)
        return JobState(state)

    def view(self, job_id: str) -> JobView:
        """Return one job as users see it, or raise JobNotFound."""
        views = self.views([job_id])
        if not views:
            self._must_exist(job_id)
            raise _unreadable(job_id)
        return views[0]

    def views(self, job_ids: Sequence[str]) -> list[JobView]:
        """Return several jobs, in order; left out are ids nobody knows, and records this version cannot read."""
        found = []
        done = 0
        while done < len(job_ids):
            replies = self._script.call("read", *job_ids[done : done + _READ_CHUNK])
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
        """Return only the state: cheap enough to ask often."""
        state = self._script.guarded(lambda redis: text(redis.hget(self._key(job_id), "state")))
        if state is None:
            raise _not_found(job_id)
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
        """Return what a job was asked to be, or raise JobNotFound."""
        found = self._script.guarded(lambda redis: text(redis.hget(self._key(job_id), "spec")))
        if found is None:
            raise _not_found(job_id)
        try:
            return JobSpec.read(found)
        except ValueError:
            raise _unreadable(job_id) from None

    def traceparents(self, job_ids: Sequence[str]) -> dict[str, str]:
        """Return where each job's trace began, for log lines: "" where that cannot be found out."""

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
            return text(redis.xread({self._key(job_id) + ":events": after}, limit, block_ms))

        reply = self._script.guarded(read)
        streams = reply.values() if isinstance(reply, dict) else [s[1] for s in reply or []]
        found = []
        for entries in streams:
            # redis-py's RESP3 replies nest the entries of a stream once more.
            flat = entries[0] if entries and isinstance(entries[0][0], list) else entries
            for cursor, fields in flat:
                named = {name: one_line(value) for name, value in dict(fields).items()}
                kind = named.pop("kind", "")
                found.append(Event(cursor, int(cursor.split("-")[0]) / 1000, kind, named))
        return found

    def queue_depths(self) -> list[tuple[str, int, float]]:
        """Return (queue, queued jobs, age of the oldest in seconds) of the queues in use."""
        flat = self._script.call("queue_depths")
        rows = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        return [(queue, int(jobs), float(age_s)) for queue, jobs, age_s in rows]

    def dead_letter_count(self) -> int:
        """Return how many jobs were given up after their last attempt."""
        return int(self._script.guarded(lambda redis: redis.zcard(self._script.key("dead"))))

    # --- the board worker's side

    def claim(
        self,
        notified_job_id: str,
        owner: str,
        *,
        device_id: str,
        platform: str,
        host: str,
        lock_domain: str,
        lease_s: float,
        traceparent: str = "",
    ) -> Claim | NoClaim:
        """Take the job whose turn it is for a board, or return why there is none.

        `notified_job_id` is the job whose doorbell was received. It tells the queue; which job of that queue is granted, their
        priorities and the users' turns decide. A doorbell of nothing does for the board's other jobs.
        `owner` is one attempt's own token: asking again with it returns the same claim.
        `traceparent` is where the attempt is in its trace, for the next one to link to. A record
        that does not validate, or has an id that none of ours has, is failed at once, as a
        JobError, and answered as MALFORMED.
        """
        asked = (
            notified_job_id,
            owner,
            device_id,
            platform,
            host,
            lock_domain,
            lease_s,
            SCHEMA_VERSION,
        )
        for _ in range(_CLAIM_CALLS):
            reply = self._script.call("claim", *asked, traceparent)
            if reply[0] != "again":
                break
        if reply[0] != "granted":
            return NoClaim(reply[0])
        _, job_id, epoch, attempt, spec, submitted, wait_s, previous = reply
        try:
            read = _claimed(job_id, spec)
        except ValueError as error:
            problem = f"the job's record is malformed: {first_wrong(error)}"
            self.fail(job_id, int(epoch), JobError(problem, code="record"))
            return NoClaim.MALFORMED
        return Claim(job_id, int(epoch), int(attempt), read, submitted, float(wait_s), previous)

    def renew(self, job_id: str, epoch: int, lease_s: float) -> Renewal:
        """Renew the lease of an attempt."""
        return Renewal(self._script.call("renew", job_id, epoch, lease_s))

    def progress(self, job_id: str, epoch: int, **fields: str | float) -> bool:
        """Tell watchers; False when the job is not ours any more."""
        flat = [part for item in fields.items() for part in item]
        return bool(self._script.call("progress", job_id, epoch, *flat) == "ok")

    def succeed(self, job_id: str, epoch: int, result: JobResult) -> JobState | None:
        """Write the result; None when refused because the job is not ours any more."""
        return _fenced(self._script.call("succeed", job_id, epoch, result.model_dump_json()))

    def fail(
        self,
        job_id: str,
        epoch: int,
        fault: Fault,
        quarantine_after: int = 1_000_000,
        backoff_s: float = 0.0,
    ) -> JobState | None:
        """End this attempt by a fault: back to the queue, failed, or None when not ours any more.

        Where no other board could take it, the job rests for `backoff_s` first, doubled for each attempt before.
        The board is quarantined when so many of its attempts in a row failed for board or link reasons,
        and the host cordoned when so many of its own failed for host reasons.
        """
        retryable = int(fault.fault_class.retryable)
        return _fenced(
            self._script.call(
                "fail",
                job_id,
                epoch,
                fault.fault_class,
                fault.code,
                one_line(str(fault)),
                retryable,
                backoff_s,
                quarantine_after,
                fault.blame,
            )
        )

    def reclaim(self, device_id: str, lock_domain: str, actor: str) -> str | None:
        """Give back what the dead worker before us held on this board; returns the job's id."""
        return self._script.call("reclaim", actor, device_id, lock_domain) or None

    # --- helpers

    def _key(self, job_id: str) -> str:
        return self._script.key(f"job:{job_id}")

    def _ids(self, name: str, offset: int, limit: int) -> list[str]:
        key = self._script.key(name)
        found: list[str] = self._script.guarded(
            lambda redis: text(redis.zrevrange(key, offset, offset + limit - 1))
        )
        return found

    def _must_exist(self, job_id: str) -> None:
        self.state(job_id)


def _not_found(job_id: str) -> JobNotFound:
    return JobNotFound(
        f"no job {job_id!r} in the store",
        hint="edgeprof jobs lists them; edgeprof results the rest",
    )


def _unreadable(job_id: str) -> StoreRefused:
    return StoreRefused(
        f"the record of job {job_id} cannot be read by this version",
        hint="it may be of a newer edgeprof: update this one",
    )


def _fenced(reply: str) -> JobState | None:
    return None if reply == "stale" else JobState(reply)


def _claimed(job_id: str, spec: str) -> JobSpec:
    if not is_name(job_id):  # it becomes a file's name (Outbox)
        raise ValueError("its id is not a name")
    return JobSpec.read(spec)
