"""A notification: what somebody asked to be told, and what became of it.

None of it is part of a job, so no archive, export or repetition has it: an address is personal, and
a webhook's is often a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from edgeprof.shared.types.notify_address import LONGEST, Way
from edgeprof.shared.types.wire import Name, NoControl, TolerantModel

#: Most addresses, and most conditions, of one call.
MOST = 20
#: Longest condition, and longest selection: a tag has at most 321 characters.
LONGEST_WORD = 400


class SubjectKind(StrEnum):
    """What a notification is about."""

    JOB = "job"
    SWEEP = "sweep"
    SCHEDULE = "schedule"


class Subject(TolerantModel):
    """The job, the sweep or the schedule that a notification is about."""

    kind: SubjectKind
    #: A job's id, a sweep's id, or the name of a schedule.
    name: Name
    #: The sweep that a run of the schedule queued. None: it queued nothing, and `note` says why.
    sweep_id: Name | None = None
    #: What happened, when there are no jobs to tell it.
    note: Annotated[NoControl, Field(max_length=500)] = ""

    @property
    def key(self) -> str:
        """Where its notices are found again."""
        return f"{self.kind}:{self.name}"


class Asked(TolerantModel):
    """A wish: tell this address once the jobs of the subject have ended."""

    largest_bytes: ClassVar[int] = 32 * 1024

    #: Of the message; the same for each attempt to send it.
    id: Name
    subject: Subject
    address: Annotated[str, Field(max_length=LONGEST)]
    user: Annotated[NoControl, Field(max_length=64)] = ""
    #: Conditions as of `edgeprof compare --fail-if`. With some, it is told only when one is broken.
    conditions: Annotated[
        tuple[Annotated[NoControl, Field(max_length=LONGEST_WORD)], ...], Field(max_length=MOST)
    ] = ()
    #: The selection that the jobs are compared with.
    against: Annotated[NoControl, Field(max_length=LONGEST_WORD)] | None = None


class StandingWish(TolerantModel):
    """A wish about each run of a schedule."""

    largest_bytes: ClassVar[int] = 64 * 1024

    user: Annotated[NoControl, Field(max_length=64)]
    addresses: Annotated[
        tuple[Annotated[str, Field(max_length=LONGEST)], ...], Field(max_length=MOST)
    ]
    conditions: Annotated[
        tuple[Annotated[NoControl, Field(max_length=LONGEST_WORD)], ...], Field(max_length=MOST)
    ] = ()
    against: Annotated[NoControl, Field(max_length=LONGEST_WORD)] | None = None


class NoticeState(StrEnum):
    """How far a notification has come."""

    WAITING = "waiting"
    TRYING = "trying"
    SENT = "sent"
    GIVEN_UP = "given up"
    NOT_NEEDED = "not needed"


class Notice(TolerantModel):
    """What people see of a notification; it has no secret."""

    way: Way
    #: A webhook's host, or a mail address.
    to: Annotated[NoControl, Field(max_length=300)]
    state: NoticeState
    attempts: int = 0
    #: What went wrong last.
    reason: Annotated[NoControl, Field(max_length=300)] = ""
    at_s: float

    @property
    def text(self) -> str:
        """The notice in one line."""
        match self.state:
            case NoticeState.WAITING:
                what = "waits for the end"
            case NoticeState.TRYING if self.attempts:
                what = f"attempt {self.attempts} failed, and it is tried again"
            case NoticeState.TRYING:
                what = "is being sent"
            case NoticeState.GIVEN_UP if self.attempts:
                what = f"given up after {self.attempts} attempt(s)"
            case state:
                what = str(state)
        return f"notification to {self.to}: {what}" + (f": {self.reason}" if self.reason else "")
