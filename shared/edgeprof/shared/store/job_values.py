"""Values that go into the job store and come out of it, beside the records themselves."""

from __future__ import annotations

import hashlib
import secrets
from base64 import b32encode
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from edgeprof.shared.types.job import Expected, JobSpec

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u to misread


_FROM_BASE_32: Final = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET)


def new_job_id() -> str:
    """Return 12 random characters (60 bits) that survive being read aloud."""
    return new_job_ids(1)[0]


def new_job_ids(count: int) -> list[str]:
    """Return ids in their order: those of one submission then stand as submitted in every list."""
    text = _spelt(secrets.token_bytes(-(-count * 60 // 8)))
    return sorted(text[place : place + 12] for place in range(0, 12 * count, 12))


def job_id_of(text: str) -> str:
    """Return the id that always belongs to a text: a job of it is queued once, however often."""
    return _spelt(hashlib.sha256(text.encode()).digest())[:12]


def _spelt(content: bytes) -> str:
    return b32encode(content).decode().translate(_FROM_BASE_32)


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job on its way into the store."""

    spec: JobSpec
    traceparent: str = ""
    id: str = field(default_factory=new_job_id)
    expected: Expected | None = None
    #: The queue whose doorbell tells of it; None: that of its target, "": none yet.
    told_by: str | None = None


@dataclass(frozen=True, slots=True)
class QueueDepth:
    """What waits in a queue."""

    queue: str
    jobs: int
    oldest_age_s: float
    #: How many of the jobs have an expected duration, and the sum of those.
    expected_jobs: int
    expected_s: float


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
    """Why a claim was not granted: NO_CLAIM of lua/claim.lua, and MALFORMED."""

    GONE = "gone"
    LATE = "late"
    NEWER_AGENT_NEEDED = "needs a newer agent"
    BETTER_ELSEWHERE = "better elsewhere"
    NOT_FOR_THIS_BOARD = "not for this board"
    BUSY = "busy"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    HOST_CORDONED = "its host is cordoned"
    #: For another user.
    RESERVED = "reserved"
    #: The job's record did not validate; that job has failed.
    MALFORMED = "malformed"
    #: Only entries that are no jobs were found so far, and more of them wait.
    AGAIN = "again"


class Renewal(StrEnum):
    """The answer to the renewal of a lease."""

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
    """A doorbell: which job, on which queue, in which trace, with a label for people."""

    job_id: str
    queue: str
    traceparent: str
    label: str = ""


@dataclass(frozen=True, slots=True)
class Aside:
    """An entry of the store that was set aside: where it was, which, and what was wrong with it."""

    where: str
    id: str
    why: str
