"""A job: one model profiled on one board. What travels, and the states it goes through.

These are wire types: they are validated where a job enters (Lab.submit) and again where it is
carried out (the board worker), because Redis is a place other programs can write to.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeprof.shared.errors import FaultClass

SCHEMA_VERSION: Final = 1

MAX_PROMPT_TOKENS = 4096
MAX_GENERATED_TOKENS = 4096

#: Names become queue names, metric labels and file-name parts, so their alphabet is narrow.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Wire(BaseModel):
    """Base of everything that crosses a process boundary: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Told(Wire):
    """Base of what a lab tells about itself: a newer agent may say more than this version understands."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class JobState(StrEnum):
    """queued -> running -> succeeded | failed | cancelled | expired; running -> queued on a retry."""

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


class BoardState(StrEnum):
    """What a board is doing, as its worker last said."""

    ONLINE = "online"
    BUSY = "busy"
    DRAINING = "draining"
    QUARANTINED = "quarantined"
    OFFLINE = "offline"


class Quantization(StrEnum):
    """Weight types with a kernel on the board; the names are ggml's."""

    F32 = "F32"
    F16 = "F16"
    Q8_0 = "Q8_0"
    Q4_0 = "Q4_0"
    TQ2_0 = "TQ2_0"


class KvType(StrEnum):
    """Element type of the KV cache."""

    F32 = "F32"
    F16 = "F16"


class ModelRef(Wire):
    """Which model: by content, so that a name can never point at other weights."""

    name: Name
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0)]
    quantization: Quantization
    architecture: Literal["llama"] = "llama"
    n_params: Annotated[int, Field(gt=0)]
    n_ctx_train: Annotated[int, Field(gt=0)]
    n_vocab: Annotated[int, Field(gt=0)]
    #: Where the bytes are: None for the blob store in Redis, otherwise an fsspec URL.
    url: str | None = None


class TestCase(Wire):
    """One prompt, prefilled and continued greedily by n_gen tokens (llama-bench: ppN and tgN)."""

    __test__ = False  # pytest: this is not a test class

    prompt_tokens: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(min_length=1, max_length=MAX_PROMPT_TOKENS),
    ]
    n_gen: Annotated[int, Field(ge=1, le=MAX_GENERATED_TOKENS)] = 64
    #: Top-1 tokens of the unquantized model over the prompt, entry i about token i+1: what a scored run is held to.
    unquantized_top1: tuple[int, ...] | None = None

    @property
    def n_ctx_needed(self) -> int:
        """Positions of KV cache this case fills; the last token is never fed back."""
        return len(self.prompt_tokens) + self.n_gen - 1


class Target(Wire):
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
            return f"board.{self.device_id}"
        return f"platform.{self.platform}"

    def __str__(self) -> str:
        return self.device_id or str(self.platform)


class JobSpec(Wire):
    """Everything a board worker needs to know; never changes after submit."""

    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelRef
    target: Target
    cases: Annotated[tuple[TestCase, ...], Field(min_length=1, max_length=64)]
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 3
    warmup: Annotated[int, Field(ge=0, le=100)] = 1
    n_ctx: Annotated[int, Field(ge=1, le=65536)]
    kv_type: KvType = KvType.F16
    #: Compare greedy tokens with the host reference (invariant 5). Off only for research on kernels.
    check_output: bool = True
    #: Also measure log-likelihood and top-1 over the prompt (op SCORE).
    score: bool = False
    #: 0 (whenever) to 9 (now), for people; Celery's order is the reverse and hidden in routing.
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86400)] = 600.0
    queue_timeout_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    user: Annotated[str, Field(max_length=64)] = ""
    sweep_id: Name | None = None
    tags: dict[Name, Annotated[str, Field(max_length=256)]] = Field(default_factory=dict)

    @property
    def label(self) -> str:
        """What the job is, in one line for people; no character of it needs escaping in JSON."""
        first = self.cases[0]
        more = f" and {len(self.cases) - 1} more" if len(self.cases) > 1 else ""
        return (
            f"{self.model.name} {self.model.quantization} on {self.target},"
            f" {len(first.prompt_tokens)}+{first.n_gen} tokens x {self.repetitions}{more}"
        )

    @model_validator(mode="after")
    def _context_holds_the_cases(self) -> Self:
        needed = max(case.n_ctx_needed for case in self.cases)
        if needed > self.n_ctx:
            raise ValueError(
                f"prompt and generated tokens fill {needed} positions, the context has {self.n_ctx}"
            )
        if self.n_ctx > self.model.n_ctx_train:
            raise ValueError(
                f"context {self.n_ctx} exceeds the {self.model.n_ctx_train} positions"
                f" {self.model.name} was trained for"
            )
        return self


class Attempt(Told):
    """One try at a job, as its board worker or the custodian told it."""

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


class MemoryRegion(Told):
    """A stretch of a board's memory, as HELLO tells it."""

    name: str
    kind: Literal["ram", "flash", "stack"]
    total_bytes: int
    #: What a model or its state could take.
    available_bytes: int


class BoardInfo(Told):
    """A board, as its worker last announced it; enough to decide whether a model fits."""

    device_id: Name
    platform: Name
    host: str
    url: str
    uid: str
    state: BoardState
    emulated: bool
    firmware_version: str
    firmware_git_hash: str
    toolchain: str
    protocol: tuple[int, int]
    #: None where the chip states none (QEMU's virt machine, a process).
    clock_hz: int | None
    timer_name: str
    timer_resolution_ns: int
    regions: tuple[MemoryRegion, ...]
    kernels: tuple[Quantization, ...]
    n_ctx_max: int
    #: Whether a model can be put into flash without a person (QEMU's loader, or a flash tool).
    can_flash: bool
    can_upload: bool
    #: Of the edgeprof that drives it; "" for one that did not say.
    agent_version: str = ""
    #: What boards.toml says of it: on which shelf it is, say.
    tags: dict[str, str] = Field(default_factory=dict)
    reason: str = ""
    job_id: str | None = None
    #: Seconds since the epoch by Redis' clock, of the last announcement.
    seen_s: float = 0.0
