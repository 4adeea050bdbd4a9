"""Jobs in the store: typed calls around the script in lua/, which keeps invariants 1 to 4."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import pydantic_core
from redis import Redis
from redis.client import Pipeline

from edgeprof.shared.errors import Fault, InfrastructureError, JobError, JobNotFound, StoreRefused
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.script import Script, records, text
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.job import SCHEMA_VERSION, Attempt, JobSpec, JobState
from edgeprof.shared.types.result import Inputs, JobResult, JobView
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

#: Times beyond this, in the year 9000, were not written by us.
_LATEST_S: Final = 2.2e11

_TRANSITION: Final = ("from", "to", "actor", "reason")

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread


def new_job_id() -> str:
    """Return 12 random characters (60 bits) that survive being read aloud."""
    bits = secrets.randbits(60)
    return "".join(_ALPHABET[(bits >> shift) & 31] for shift in range(0, 60, 5))


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job on its way into the store."""

    spec: JobSpec
    traceparent: str = ""
    id: str = field(default_factory=new_job_id)


@dataclass(frozen=True, slots=True)
class Claim:
    """A granted claim: this attempt, and only this one, may write the job's result."""

    job_id: str
    epoch: int
    attempt: int
    spec: JobSpec
    traceparent: str
    #: Time in the queue before this attempt, by Redis' clock.
    wait_s: float = 0.0
    #: Of the attempt before this one; empty for a first attempt, or when that one was not traced.
    previous_traceparent: str = ""


class NoClaim(StrEnum):
    """Why a claim was not granted, in the words of lua/claim.lua."""

    GONE = "gone"
    LATE = "late"
    NEWER_AGENT_NEEDED = "needs a newer agent"
    BETTER_ELSEWHERE = "better elsewhere"
    NOT_FOR_THIS_BOARD = "not for this board"
    BUSY = "busy"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    HOST_CORDONED = "its host is cordoned"
    #: The job's record did not validate; that job has failed.
    MALFORMED = "malformed"
    #: Only entries that are no jobs were found so far, and more of them wait.
    AGAIN = "again"


class Renewal(StrEnum):
    """What a renewal of a lease was answered."""

    OK = "ok"
    #: Somebody asked for the end of the job: stop soon.
    CANCEL = "cancel"
    #: Another attempt has the job by now.
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's event stream. `cursor` is where to read on."""

    cursor: str
    #: Seconds since the epoch, Redis' clock.
    at_s: float
    kind: str  # "state" or "progress"
    fields: dict[str, str]


@dataclass(frozen=True, slots=True)
class Transition:
    """One line of a job's history."""

    at_s: float
    before: str
    after: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Doorbell:
    """A doorbell to notify: which job, on which queue, in which trace; the label is for people to read."""

    job_id: str
    queue: str
    traceparent: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Aside:
    """An entry that stood in the store and was none of ours: where, which, and what was wrong with it."""

    where: str
    id: str
    why: str


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
                    view = _view(job_id, reply)
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
            problem = f"the job's record is malformed: {_first_line(error)}"
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

    # --- the custodian's side

    def expire_leases(
        self, actor: str, lease_s: float, away_s: float, limit: int = 100
    ) -> Sequence[tuple[str, str, JobState]]:
        """End the attempts of workers gone silent: (job, board, state afterwards).

        When nobody gave a sign for `away_s`, Redis was away: nobody is taken for dead for `lease_s`.
        """
        flat = self._script.call("expire_leases", actor, limit, lease_s, away_s)
        return [(flat[i], flat[i + 1], JobState(flat[i + 2])) for i in range(0, len(flat), 3)]

    def expire_queued(self, actor: str, limit: int = 100) -> Sequence[str]:
        """End jobs that waited past their deadline."""
        expired: list[str] = self._script.call("expire_queued", actor, limit)
        return expired

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
        """Return the jobs archived last and first of those that are still here -> when they finished."""
        flat = self._script.call("archived_ends")
        return {flat[i]: float(flat[i + 1]) for i in range(0, len(flat), 2)}

    def archive_lost(self) -> int:
        """Note that no archive holds any more what was archived; returns how many jobs are still here."""
        return int(self._script.call("archive_lost"))

    def rearchivable(self, limit: int = 100) -> Sequence[str]:
        """Return jobs that an archive held which is gone."""
        found: list[str] = self._script.call("unarchived", limit, "rearchive")
        return found

    def unreadable(self, job_ids: Sequence[str]) -> None:
        """Put finished jobs aside that the archive cannot keep, so that they hold up no other."""
        if job_ids:
            self._script.call("unreadable", *job_ids)

    def retry_unreadable(self) -> int:
        """Let the archive look once more at what was put aside; returns how many jobs."""
        return int(self._script.call("retry_unreadable"))

    def heal(self, page: int = 500) -> None:
        """Remove shared keys of a wrong type, and put queued jobs back that fell out of their queue."""
        self._script.call("heal", page)

    def take_aside(self, limit: int = 20) -> tuple[list[Aside], int]:
        """Return what the store set aside since the last call, and how much more there is."""
        more, *lines = self._script.call("take_aside", limit)
        taken = [
            Aside(one_line(line["where"]), one_line(line["id"]), one_line(line["why"]))
            for line in records(lines, where=str, id=str, why=str)
        ]
        return taken, int(more)

    def archived(self, job_ids: Sequence[str], ttl_s: float) -> None:
        """Note that an archive holds these jobs; Redis forgets them after ttl_s."""
        if job_ids:
            self._script.call("archived", ttl_s, *job_ids)

    def prune(self, limit: int = 500) -> int:
        """Forget archived jobs whose time has come."""
        return int(self._script.call("prune", limit))

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


def _view(job_id: str, reply: Sequence[Any]) -> JobView | None:
    """Make a view of what the script's `read` says of a job; None when there is no such job.

    Raises ValueError and KeyError for what this version cannot read.
    """
    if not reply:
        return None
    if len(reply) == 1:
        raise ValueError(reply[0])
    flat, attempts, result = reply
    record: dict[str, str] = dict(zip(flat[::2], flat[1::2], strict=True))
    spec = JobSpec.read(record["spec"])
    return JobView(
        schema_version=SCHEMA_VERSION,
        id=job_id,
        state=JobState(record["state"]),
        reason=one_line(record["reason"]),
        model=spec.model,
        target=str(spec.target),
        priority=spec.priority,
        user=spec.user,
        sweep_id=spec.sweep_id,
        created_s=_time(record["created_s"]),
        started_s=_time(record["started_s"]) if "started_s" in record else None,
        finished_s=_time(record["finished_s"]) if "finished_s" in record else None,
        attempts=tuple(_attempts(attempts)),
        trace_id=trace_id_of(record["traceparent"]) or None,
        inputs=Inputs.of(spec),
        result=JobResult.read(result) if result else None,
    )


def _time(text: str) -> float:
    """Parse seconds since the epoch; raises ValueError for what no calendar has."""
    time_s = float(text)
    if not 0 <= time_s < _LATEST_S:
        raise ValueError("a time is none")
    return time_s


def _attempts(lines: Sequence[str]) -> Iterator[Attempt]:
    """Yield the attempts that can be read: one that cannot must not hide how the job ended."""
    for line in lines:
        with suppress(ValueError):
            yield Attempt.read(line)


def _claimed(job_id: str, spec: str) -> JobSpec:
    if not is_name(job_id):  # it becomes a file's name (Outbox)
        raise ValueError("its id is not a name")
    return JobSpec.read(spec)


def _first_line(error: ValueError) -> str:
    """Say the first thing that is wrong, without the value that is: it may be long."""
    if not isinstance(error, pydantic_core.ValidationError):
        return str(error)
    first = error.errors(include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
