"""The body of a webhook. docs/reference/notification.schema.json is made of it.

It has the form that Standard Webhooks recommends (type, timestamp, data); `text` is what Slack and
Mattermost show.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.notification import SubjectKind

#: Most jobs, and most broken conditions, that are listed.
MOST_LISTED = 20


class AboutJob(BaseModel):
    """A job in a list."""

    id: str
    state: JobState
    model: str
    made_as: Annotated[
        str, Field(description="Weight type, after the lossy types it was made from.")
    ]
    target: Annotated[str, Field(description="The board or the platform that was asked for.")]
    reason: Annotated[str, Field(description="Why it is in this state.")]


class BrokenCondition(BaseModel):
    """A condition, and a row of the comparison that breaks it."""

    condition: str
    text: Annotated[str, Field(description="What happened, in one line.")]
    measure: str
    model: str
    made_as: str
    platform: str
    old: Annotated[float, Field(description="Mean of the old side.")]
    new: float
    unit: str
    change: Annotated[float, Field(description="As a share: -0.04 is 4 % less.")]


class Compared(BaseModel):
    """How the jobs compare with those that they were to be compared with."""

    against: str
    better: int = 0
    worse: int = 0
    same: int = 0
    unknown: Annotated[int, Field(description="Rows that can't be told.")] = 0
    missing: Annotated[int, Field(description="Rows that only the old side has.")] = 0
    broken: list[BrokenCondition] = Field(default_factory=list, max_length=MOST_LISTED)
    trouble: Annotated[str | None, Field(description="Why there is no comparison.")] = None


class EventData(BaseModel):
    """What happened."""

    schema_version: Literal[1] = 1
    kind: SubjectKind
    name: Annotated[str, Field(description="Id of the job or the sweep, or the schedule's name.")]
    sweep_id: str | None
    user: str
    url: Annotated[
        str | None, Field(description="The page of it; null when the scheduler shows no pages.")
    ]
    jobs: Annotated[
        dict[JobState, int], Field(description="How many jobs ended in each state that occurs.")
    ]
    without_result: Annotated[
        list[AboutJob], Field(max_length=MOST_LISTED, description="Jobs that did not succeed.")
    ]
    comparison: Compared | None = None


EventType = Literal["job.ended", "sweep.ended", "schedule.ended", "regression.found"]


class Event(BaseModel):
    """A notification, as it is posted."""

    type: EventType
    timestamp: Annotated[
        str, Field(description="When the last job was seen to have ended; ISO 8601, UTC.")
    ]
    text: Annotated[str, Field(description="All of it for people; the first line is the whole.")]
    data: EventData
