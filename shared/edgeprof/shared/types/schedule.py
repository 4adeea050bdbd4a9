"""A recurring sweep: what is run and when, its open run, and how earlier runs ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from edgeprof.shared.types.wire import MAX_FILE_BYTES, Name, NoControl, Sha256, TolerantModel

#: Most characters of a sweep's file that is scheduled.
MAX_TEXT: Final = 128 * 1024
#: Most models that one scheduled file names.
MAX_MODELS: Final = 256

#: It becomes the last part of a path on the scheduler's machine.
FileName = Annotated[NoControl, Field(pattern=r"^[^/.][^/]{0,199}$")]
#: Seconds since the epoch that a calendar has.
Moment = Annotated[float, Field(ge=0, le=1e11)]
Reason = Annotated[NoControl, Field(max_length=1000)]


class KeptFile(TolerantModel):
    """A file that a sweep names, as it was when the schedule was added."""

    #: How the sweep's file names it.
    named: Annotated[NoControl, Field(max_length=4096)]
    file: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Field(ge=0, le=MAX_FILE_BYTES)]


class Schedule(TolerantModel):
    """What was added: a sweep's file with all that it names, and when it runs. It never changes."""

    largest_bytes: ClassVar[int] = 512 * 1024

    name: Name
    cron: Annotated[NoControl, Field(max_length=200)]
    time_zone: Annotated[NoControl, Field(max_length=64)]
    file: Annotated[NoControl, Field(max_length=255)]
    text: Annotated[str, Field(max_length=MAX_TEXT)]
    models: Annotated[tuple[KeptFile, ...], Field(max_length=MAX_MODELS)]
    #: The text to score over; None: the one that ships.
    corpus: KeptFile | None = None
    user: Annotated[NoControl, Field(max_length=64)]
    added_s: Moment


class Outcome(StrEnum):
    """How a run of a schedule ended, or why there was none."""

    #: All jobs have succeeded.
    SUCCEEDED = "succeeded"
    #: A job did not succeed, a board or platform is not in the lab, or nothing could be queued.
    FAILED = "failed"
    #: The run before it had not finished.
    SKIPPED = "skipped"
    #: No scheduler ran at that time.
    MISSED = "missed"


class OpenRun(TolerantModel):
    """A run that has begun and not ended. A new token each time that it is written."""

    largest_bytes: ClassVar[int] = 64 * 1024

    token: Name
    sweep_id: Name
    #: The time it was due; for a run that a person asked for, that of the request.
    due_s: Moment
    started_s: Moment
    #: Who asked for it; "" when it was time.
    asked_by: Annotated[NoControl, Field(max_length=64)] = ""
    #: Who prepares its jobs, and until when nobody else does.
    owner: Annotated[NoControl, Field(max_length=255)]
    until_s: Moment
    #: Whether its jobs are queued.
    queued: bool = False
    #: Combinations that no board can run.
    refused: int = 0
    #: Why combinations were left out, such as a board that is not in the lab any more.
    left_out: Annotated[tuple[Reason, ...], Field(max_length=20)] = ()


class EndedRun(TolerantModel):
    """One line of a schedule's record."""

    outcome: Outcome
    due_s: Moment
    ended_s: Moment
    sweep_id: Name | None = None
    started_s: Moment | None = None
    asked_by: Annotated[NoControl, Field(max_length=64)] = ""
    jobs: int = 0
    succeeded: int = 0
    refused: int = 0
    #: Of missed runs: how many, the one of due_s being the last.
    count: int = 1
    reason: Reason = ""


class Paused(TolerantModel):
    """Who paused a schedule, and when."""

    user: Annotated[NoControl, Field(max_length=64)]
    at_s: Moment


class ScheduleView(TolerantModel):
    """A schedule, and how it is doing."""

    schedule: Schedule
    #: None while it is paused.
    next_s: Moment | None
    paused: Paused | None = None
    open_run: OpenRun | None = None
    #: The last runs, newest first.
    runs: tuple[EndedRun, ...] = ()
