"""What may stand behind the ? of an API's path: pydantic checks it, and documents it."""

from __future__ import annotations

import time
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from werkzeug.datastructures import MultiDict

from edgeprof.client.moments import parse_moment
from edgeprof.client.query import Query
from edgeprof.shared.errors import UsageError
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.wire import Name, NoControl
from edgeprof.shared.validation import first_error

User = Annotated[NoControl, Field(max_length=64)]
#: NAME=VALUE, as of `edgeprof submit`.
Tag = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}=[!-~ ]{0,256}$")]
_LISTS: Final = ("tag",)


class ApiQuery(BaseModel):
    """A query; a name that it does not have is an error, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def read(cls, query: MultiDict[str, str]) -> Self:
        """Read a request's query, or raise UsageError."""
        values = {
            name: found if name in _LISTS or len(found) > 1 else found[0]
            for name, found in query.lists()
        }
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = first_error(error)
            name = str(first.path[0]) if first.path else "?"
            names = ", ".join(cls.model_fields) or "none"
            raise UsageError(f"{name}: {first.message}", hint=f"there is: {names}") from None


class NoQuery(ApiQuery):
    """Of a path that takes none."""


class JobsQuery(ApiQuery):
    """Which jobs of Redis are listed."""

    state: JobState | None = Field(None, description="Only jobs in this state.")
    user: User | None = Field(None, description="Only jobs of this user.")
    board: Name | None = Field(None, description="Only jobs for this board, or tried on it.")
    sweep: Name | None = Field(None, description="Only jobs of this sweep.")
    limit: int = Field(50, ge=1, le=500, description="At most so many: the newest.")

    @property
    def where(self) -> JobFilter:
        """The same for the store."""
        return JobFilter(user=self.user, board=self.board, sweep_id=self.sweep)


class ResultsQuery(ApiQuery):
    """Which measured jobs of the archive are listed."""

    model: Name | None = Field(None, description="Only this model.")
    platform: Name | None = Field(None, description="Only this platform.")
    quantization: Quantization | None = Field(None, description="Only this weight type.")
    sweep: Name | None = Field(None, description="Only jobs of this sweep.")
    board: Name | None = Field(None, description="Only this board.")
    user: User | None = Field(None, description="Only jobs of this user.")
    tag: tuple[Tag, ...] = Field((), description="NAME=VALUE; several: jobs with all of them.")
    firmware: Annotated[str, Field(pattern="^[0-9a-f]{1,40}$")] | None = Field(
        None, description="Only firmware whose git hash begins so."
    )
    since: Annotated[str, Field(pattern="^[0-9]{1,4}[mhdw]$")] | None = Field(
        None, description="Only jobs that ended so lately: 30m, 12h, 7d, 2w."
    )
    limit: int = Field(100, ge=1, le=1000, description="At most so many jobs: the newest.")

    @property
    def where(self) -> Query:
        """The same for the archive."""
        return Query(
            model=self.model,
            platform=self.platform,
            quantization=self.quantization,
            sweep_id=self.sweep,
            device_id=self.board,
            user=self.user,
            tags=dict(tag.split("=", 1) for tag in self.tag),
            firmware=self.firmware,
            since_s=parse_moment(self.since, time.time()) if self.since else None,
            state=JobState.SUCCEEDED,
            limit=self.limit,
        )
