"""A job: one model profiled on one board. What travels, and the states it goes through.

These are wire types: they are validated where a job enters (Lab.submit) and again where it is
carried out (the board worker), because Redis is a place other programs can write to. Every limit is
in docs/explanation/security.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgeprof.shared.errors import FaultClass

#: 2: prompts as given, texts to score over, prefill only. Records of 1 are still read (JobSpec).
SCHEMA_VERSION: Final = 2

MAX_PROMPT_TOKENS = 4096
MAX_GENERATED_TOKENS = 4096
#: Of all cases of a job together: what bounds its record and its result.
MAX_JOB_TOKENS = 16384
#: Cases times repetitions: each run leaves a sample of every quantity.
MAX_RUNS = 4096
MAX_TAGS = 32
#: Of all prompts of a job together, as they were given; of longer ones the beginning is kept.
MAX_PROMPT_CHARACTERS = 16384
#: Tokens that a job scores, and the windows they lie in.
MAX_SCORED_TOKENS = 4096
MAX_SCORE_WINDOWS = 512
MAX_FILE_BYTES = 1 << 30
MAX_VOCABULARY = 1 << 20

#: Names become queue names, metric labels and file-name parts, so their alphabet is narrow.
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Token = Annotated[int, Field(ge=0, lt=MAX_VOCABULARY)]
#: For people to read; no control characters.
NoControl = Annotated[str, Field(pattern=r"^\P{Cc}*$")]


def is_name(text: str) -> bool:
    """Whether a text from outside may become a part of a file name."""
    return len(text) <= 64 and re.fullmatch(NAME.strip("^$"), text) is not None


class Wire(BaseModel):
    """Base of everything that crosses a process boundary: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Longer ones are not even parsed.
    largest_bytes: ClassVar[int] = 8192

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse what Redis holds. Raises ValueError; what nests deeper than 200 levels is one, too."""
        if len(text) > cls.largest_bytes:
            raise ValueError(f"{len(text)} characters are more than a {cls.__name__} may have")
        found = cls.model_validate_json(text)
        if not _storable(found):
            raise ValueError("a number is not finite, or has more than 64 bits")
        return found


def _storable(value: object) -> bool:
    """Whether every number within can be counted with, shown as a time and kept in a database."""
    match value:
        case int():
            return abs(value) < 2**63
        case float():
            return math.isfinite(value)
        case BaseModel():
            return all(map(_storable, value.__dict__.values()))
        case dict():
            return all(map(_storable, value.values()))
        case tuple() | list():
            return all(map(_storable, value))
    return True


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


#: As ggml calls a type of weights; a source may have one that no board has a kernel for.
WeightType = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,16}$")]
#: Types whose weights are as good as those that were trained, for what is made of them.
_UNQUANTIZED = frozenset({"F64", "F32", "BF16", "F16"})
_MAX_CHAIN = 8


class ModelSource(Wire):
    """The file that a model's weights come from, and each type they had since."""

    file: Annotated[NoControl, Field(min_length=1, max_length=255)]
    sha256: Sha256
    #: From the source's own type to the one that is run: ("F32", "Q8_0").
    chain: Annotated[tuple[WeightType, ...], Field(min_length=1, max_length=_MAX_CHAIN)]

    def converted(self, to: str) -> Self:
        """Return the source of a model that was made of this one; of a long chain both ends stay."""
        first, *rest = self.chain
        return self.model_copy(update={"chain": (first, *rest[-(_MAX_CHAIN - 2) :], to)})


def made_as(quantization: str, chain: Sequence[str]) -> str:
    """Return a type, behind those of a chain of conversions that had cost precision before."""
    lossy = [step for step in chain[:-1] if step not in {*_UNQUANTIZED, quantization}]
    return ">".join([*lossy, quantization])


class ModelRef(Wire):
    """Which model: by content, so that a name can never point at other weights."""

    name: Name
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0, le=MAX_FILE_BYTES)]
    quantization: Quantization
    architecture: Literal["llama"] = "llama"
    n_params: Annotated[int, Field(gt=0, le=2**40)]
    n_ctx_train: Annotated[int, Field(gt=0, le=MAX_VOCABULARY)]
    n_vocab: Annotated[int, Field(gt=0, le=MAX_VOCABULARY)]
    #: Where the bytes are: the blob store in Redis, and nowhere else. A URL from a job is never fetched.
    url: None = None
    #: None in the records of versions that did not say.
    source: ModelSource | None = None

    @property
    def made_as(self) -> str:
        """The type as tables show it: "Q8_0", or "Q4_0>Q8_0" where an earlier step had cost precision."""
        return made_as(self.quantization, self.source.chain if self.source else ())


#: Where a prompt came from: a text, token ids, or the standard text that ships with edgeprof.
PromptSource = Literal["text", "tokens", "standard"]
Window = Annotated[tuple[Token, ...], Field(min_length=2, max_length=MAX_PROMPT_TOKENS)]


class Scoring(Wire):
    """A text to score a model over, cut into windows that fit its context.

    Each window is scored by itself: all of its tokens but the first, each given those before it.
    """

    #: The text's name, for people; its content is text_sha256.
    text: Annotated[NoControl, Field(min_length=1, max_length=128)]
    text_sha256: Sha256
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=MAX_SCORE_WINDOWS)]
    #: Top-1 tokens of the unquantized model, entry i of a window about its token i+1.
    unquantized_top1: tuple[tuple[Token, ...], ...] | None = None

    @property
    def n_tokens(self) -> int:
        """How many tokens are scored."""
        return sum(len(window) - 1 for window in self.windows)

    @property
    def window_tokens(self) -> int:
        """Tokens of the longest window, which the context must hold."""
        return max(map(len, self.windows))

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.n_tokens > MAX_SCORED_TOKENS:
            raise ValueError(
                f"{self.n_tokens} tokens are to be scored; a job may score {MAX_SCORED_TOKENS}"
            )
        top1 = self.unquantized_top1
        if top1 is not None and [len(window) - 1 for window in self.windows] != [*map(len, top1)]:
            raise ValueError("unquantized_top1 does not have one entry for each scored token")
        return self


class TestCase(Wire):
    """One prompt, prefilled and continued greedily by n_gen tokens (llama-bench: ppN and tgN)."""

    __test__ = False  # pytest: this is not a test class

    prompt_tokens: Annotated[
        tuple[Token, ...],
        Field(min_length=1, max_length=MAX_PROMPT_TOKENS),
    ]
    #: 0: prefill only. The board then names the first token, which ends the prefill, and no more.
    n_gen: Annotated[int, Field(ge=0, le=MAX_GENERATED_TOKENS)] = 64
    prompt_source: PromptSource | None = None
    #: The prompt as it was given; its beginning, when it is longer than a record keeps. None: ids were given.
    prompt_text: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] | None = None
    #: How long the text was that prompt_text is, or begins.
    prompt_characters: Annotated[int, Field(ge=0, le=2**40)] | None = None
    scoring: Scoring | None = None
    #: Schema 1: top-1 tokens of the unquantized model over the prompt, which was then the text to score over.
    unquantized_top1: Annotated[tuple[Token, ...], Field(max_length=MAX_PROMPT_TOKENS)] | None = (
        None
    )

    @model_validator(mode="after")
    def _top1_is_of_the_prompt(self) -> Self:
        if self.unquantized_top1 is not None:
            wanted = len(self.prompt_tokens) - 1
            if len(self.unquantized_top1) != wanted:
                raise ValueError(
                    f"unquantized_top1 has {len(self.unquantized_top1)} entries, the prompt makes {wanted}"
                )
        return self

    @property
    def n_run(self) -> int:
        """Tokens the board is asked for: a prefill always ends with the first one's id."""
        return max(self.n_gen, 1)

    @property
    def n_ctx_needed(self) -> int:
        """Positions of KV cache this case fills; the last token is never fed back."""
        filled = len(self.prompt_tokens) + self.n_run - 1
        return max(filled, self.scoring.window_tokens if self.scoring else 0)

    @property
    def needs_schema(self) -> int:
        """The oldest schema that can say this."""
        of_schema_2 = (
            self.prompt_source,
            self.prompt_text,
            self.prompt_characters,
            self.scoring,
        )
        return 2 if self.n_gen == 0 or any(item is not None for item in of_schema_2) else 1


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
    """Everything a board worker needs to know; never changes after submit.

    A lab that is upgraded has jobs and workers of both schemas: a worker of schema 1 leaves jobs of
    schema 2 queued (store.lua), so a job of schema 1 must not hold what only schema 2 knows.
    """

    #: The largest that is valid has 0.5 MB (a test makes it).
    largest_bytes: ClassVar[int] = 512 * 1024

    schema_version: Literal[1, 2] = SCHEMA_VERSION
    model: ModelRef
    target: Target
    cases: Annotated[tuple[TestCase, ...], Field(min_length=1, max_length=64)]
    repetitions: Annotated[int, Field(ge=1, le=1000)] = 3
    warmup: Annotated[int, Field(ge=0, le=100)] = 1
    n_ctx: Annotated[int, Field(ge=1, le=65536)]
    kv_type: KvType = KvType.F16
    #: Compare greedy tokens with the host reference (invariant 5). Off only for research on kernels.
    check_output: bool = True
    #: Also measure log-likelihood and top-1 (op SCORE): over each case's scoring, or else over its prompt.
    score: bool = False
    #: 0 (whenever) to 9 (now), for people; Celery's order is the reverse and hidden in routing.
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    timeout_s: Annotated[float, Field(gt=0, le=86400)] = 600.0
    queue_timeout_s: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400.0
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 3
    user: Annotated[NoControl, Field(max_length=64)] = ""
    sweep_id: Name | None = None
    tags: Annotated[
        dict[Name, Annotated[NoControl, Field(max_length=256)]], Field(max_length=MAX_TAGS)
    ] = Field(default_factory=dict)
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
                    f"all cases together have {tokens} {what} tokens; a job may have {MAX_JOB_TOKENS}"
                )
        characters = sum(len(case.prompt_text or "") for case in self.cases)
        if characters > MAX_PROMPT_CHARACTERS:
            raise ValueError(
                f"all prompts together have {characters} characters;"
                f" a job keeps {MAX_PROMPT_CHARACTERS}"
            )
        if sum(case.scoring is not None for case in self.cases) > 1:
            raise ValueError("more than one case is to be scored; one measures the model")
        if len(self.cases) * self.repetitions > MAX_RUNS:
            raise ValueError(
                f"{len(self.cases)} cases of {self.repetitions} repetitions are more than {MAX_RUNS} runs"
            )
        return self

    @model_validator(mode="after")
    def _is_of_its_schema(self) -> Self:
        needed = max(case.needs_schema for case in self.cases)
        if self.source or self.tensor_bytes is not None or self.model.source is not None:
            needed = max(needed, 2)
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

    largest_bytes: ClassVar[int] = 64 * 1024

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
    #: How fast the last model went over its link; None until one has.
    upload_bytes_per_s: float | None = None
    reason: str = ""
    job_id: str | None = None
    #: Seconds since the epoch by Redis' clock, of the last announcement.
    seen_s: float = 0.0
