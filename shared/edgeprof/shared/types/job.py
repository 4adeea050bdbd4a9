"""A job: one model profiled on one board. What it asks for, and the states it goes through.

Records are validated where a job enters (Lab.submit) and again where it is carried out (the board
worker), because other programs can write to Redis. Every limit is in docs/explanation/security.md.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.types.case import MAX_PROMPT_CHARACTERS, TestCase
from edgeprof.shared.types.model import KvType, ModelRef
from edgeprof.shared.types.tags import Tags
from edgeprof.shared.types.wire import MAX_FILE_BYTES, Name, NoControl, TolerantModel, WireModel

#: 2: prompts as given, texts to score over, prefill only. 3: profiles, windows that
#: overlap. 4: tags that the board must have. Older records are still read (JobSpec).
SCHEMA_VERSION: Final = 4

#: Most tokens of all cases of a job together; it bounds the job's record and its result.
MAX_JOB_TOKENS: Final = 16384
#: Most cases times repetitions: each run leaves a sample of every quantity.
MAX_RUNS: Final = 4096
MAX_TAGS: Final = 32
#: Most tags that a job requires of its board.
MAX_REQUIRED: Final = 8
#: How often a job may be tried in all; as MOST_ATTEMPTS of lua/keys.lua.
MOST_ATTEMPTS: Final = 20
#: How long a job may wait in its queue.
LONGEST_WAIT_S: Final = 30 * 86400


class JobState(StrEnum):
    """queued -> running -> succeeded, failed, cancelled or expired; a retry is queued again."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended; a terminal state never changes."""
        return self not in {JobState.QUEUED, JobState.RUNNING}


class Basis(StrEnum):
    """What an expected duration rests on."""

    #: Jobs of the same model that have run on the platform.
    HISTORY = "history"
    #: What operators cost on the platform, by the profiles of other models.
    PREDICTED = "predicted"


class Expected(TolerantModel):
    """How long an attempt will probably take, as it looked when the job was submitted."""

    attempt_s: Annotated[float, Field(gt=0, le=30 * 86400)]
    basis: Basis


def board_queue(device_id: str) -> str:
    """Return the queue of jobs for this very board."""
    return f"board.{device_id}"


def platform_queue(platform: str) -> str:
    """Return the queue of jobs for any board of a platform."""
    return f"platform.{platform}"


class Target(WireModel):
    """Where a job may run: on one board, or on any board of a platform."""

    platform: Name | None = None
    device_id: Name | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.platform is None) == (self.device_id is None):
            raise ValueError("name either a platform or a device_id")
        return self

    @property
    def queue(self) -> str:
        """The Celery queue whose workers may take the job."""
        if self.device_id is not None:
            return board_queue(self.device_id)
        return platform_queue(str(self.platform))

    def __str__(self) -> str:
        return self.device_id or str(self.platform)


class JobSpec(WireModel):
    """Everything a board worker needs to know; never changes after submit.

    While a lab is upgraded it has jobs and workers of several schemas: a worker leaves jobs of a
    later schema queued (lua/claim.lua), so a job must have no field that only a later one has.
    """

    #: The largest that is valid has 0.5 MB (a test makes it).
    largest_bytes: ClassVar[int] = 512 * 1024

    schema_version: Literal[1, 2, 3, 4] = SCHEMA_VERSION
    model: ModelRef
    target: Target
    #: Tags of boards.toml that the board must have, all of them; the job's own are `tags`.
    require: Annotated[Tags, Field(max_length=MAX_REQUIRED)] = Field(default_factory=dict)
    cases: Annotated[tuple[TestCase, ...], Field(min_length=1, max_length=64)]
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 3
    warmup: Annotated[int, Field(ge=0, le=100)] = 1
    n_ctx: Annotated[int, Field(ge=1, le=65536)]
    kv_type: KvType = KvType.F16
    #: Compare greedy tokens with the host reference (invariant 5); off for research on kernels.
    check_output: bool = True
    #: Also measure log-likelihood and top-1 (op SCORE), over a case's scoring or else its prompt.
    score: bool = False
    #: Also run each case once more with the board's timer read between operators.
    profile: bool = False
    #: 0 (whenever) to 9 (now). Celery's order is the reverse (queue/doorbell.py).
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86400)] = 600.0
    queue_timeout_s: Annotated[float, Field(gt=0, le=LONGEST_WAIT_S)] = 86400.0
    max_attempts: Annotated[int, Field(ge=1, le=MOST_ATTEMPTS)] = 3
    user: Annotated[NoControl, Field(max_length=64)] = ""
    sweep_id: Name | None = None
    tags: Annotated[Tags, Field(max_length=MAX_TAGS)] = Field(default_factory=dict)
    #: What submitted the job: a command or "python", and the version of edgeprof.
    source: Annotated[NoControl, Field(max_length=64)] = ""
    #: Bytes of the model's tensors, without the header of its file.
    tensor_bytes: Annotated[int, Field(gt=0, le=MAX_FILE_BYTES)] | None = None

    @property
    def label(self) -> str:
        """What the job is, in one line for people; no character of it needs escaping in JSON."""
        first = self.cases[0]
        more = f" and {len(self.cases) - 1} more" if len(self.cases) > 1 else ""
        return (
            f"{self.model.name} {self.model.made_as} on {self.target},"
            f" {len(first.prompt_tokens)}+{first.n_gen} tokens x {self.repetitions}{more}"
        )

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        for what, tokens in (
            ("prompt", sum(len(case.prompt_tokens) for case in self.cases)),
            ("generated", sum(case.n_gen for case in self.cases)),
        ):
            if tokens > MAX_JOB_TOKENS:
                raise ValueError(
                    f"all cases together have {tokens} {what} tokens;"
                    f" a job may have {MAX_JOB_TOKENS}"
                )
        characters = sum(len(case.prompt_text or "") for case in self.cases)
        if characters > MAX_PROMPT_CHARACTERS:
            raise ValueError(
                f"all prompts together have {characters} characters;"
                f" a job keeps {MAX_PROMPT_CHARACTERS}"
            )
        if sum(case.scoring is not None for case in self.cases) > 1:
            raise ValueError("only one case of a job may have a text to score")
        if len(self.cases) * self.repetitions > MAX_RUNS:
            raise ValueError(
                f"{len(self.cases)} cases of {self.repetitions} repetitions"
                f" are more than {MAX_RUNS} runs"
            )
        return self

    @model_validator(mode="after")
    def _is_of_its_schema(self) -> Self:
        needed = max(case.needs_schema for case in self.cases)
        if self.source or self.tensor_bytes is not None or self.model.source is not None:
            needed = max(needed, 2)
        if self.profile:
            needed = max(needed, 3)
        if self.require:
            needed = max(needed, 4)
        if needed > self.schema_version:
            raise ValueError(
                f"schema_version is {self.schema_version}, but it has fields of {needed}"
            )
        return self

    @model_validator(mode="after")
    def _context_holds_the_cases(self) -> Self:
        needed = max(case.n_ctx_needed for case in self.cases)
        if needed > self.n_ctx:
            raise ValueError(
                f"prompt, generated tokens and windows to score fill {needed} positions,"
                f" the context has {self.n_ctx}"
            )
        if self.n_ctx > self.model.n_ctx_train:
            raise ValueError(
                f"context {self.n_ctx} exceeds the {self.model.n_ctx_train} positions"
                f" {self.model.name} was trained for"
            )
        return self


class Attempt(TolerantModel):
    """One try of a job on a board, as the store's script wrote it."""

    number: int
    epoch: int
    device_id: str
    host: str
    started_s: float
    ended_s: float | None = None
    fault_class: FaultClass | None = None
    code: str | None = None
    reason: str | None = None
    #: Where the attempt is in the job's trace (W3C); empty when nothing was traced.
    traceparent: str = ""
