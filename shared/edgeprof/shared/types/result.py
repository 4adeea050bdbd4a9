"""The result of a finished job. Every number was measured; without a measurement it is absent."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from pydantic import Field

from edgeprof.shared.types.board import FirmwareAndClock
from edgeprof.shared.types.case import PromptSource, TestCase
from edgeprof.shared.types.job import Attempt, Expected, JobSpec, JobState
from edgeprof.shared.types.model import KvType, ModelRef
from edgeprof.shared.types.profile import Ceilings, Derived, ModelDimensions, Profile
from edgeprof.shared.types.wire import TolerantModel, WireModel


class Samples(TolerantModel):
    """Repeated measurements of one quantity: all of them, llama-bench's mean and *sample* sd."""

    mean: float
    sd: float
    samples: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise at least one value; the sd of one value is 0, as in llama-bench."""
        sd = statistics.stdev(values) if len(values) > 1 else 0.0
        return cls(mean=statistics.fmean(values), sd=sd, samples=tuple(values))


class OutputCheck(TolerantModel):
    """Greedy tokens against the host reference, position by position."""

    matched: int
    of: int
    #: First position that differs, and what was there; None when all match.
    first_difference: int | None = None
    expected_token: int | None = None
    got_token: int | None = None


class MemoryUse(TolerantModel):
    """Bytes of one category ("weights", "kv", "activations", "stack") in one region."""

    category: str
    region: str
    used_bytes: int


class RegionUse(TolerantModel):
    """A region after the run."""

    name: str
    kind: str
    total_bytes: int
    used_bytes: int
    high_water_bytes: int


class ScoreResult(TolerantModel):
    """Teacher-forced quality over a text."""

    #: How many tokens were counted: each once, all of each window but what is only its context.
    n_tokens: int
    #: Mean negative log-likelihood per token, nats.
    nll_nats: float
    perplexity: float
    #: Standard error of nll_nats: the sample deviation over the square root of n_tokens. None for
    #: one token.
    nll_stderr_nats: float | None = None
    #: The same, propagated to the perplexity as llama.cpp does: perplexity times nll_stderr_nats.
    perplexity_stderr: float | None = None
    #: Perplexity by the host's own arithmetic over the same windows.
    reference_perplexity: float | None = None
    #: The text's name; "prompt", in records of schema 1, is the prompt of the case.
    text: str = "prompt"
    text_sha256: str | None = None
    n_windows: int = 1
    #: Tokens of the longest window.
    window_tokens: int | None = None
    #: Tokens from one window's beginning to the next's; None where windows do not overlap.
    stride_tokens: int | None = None
    #: Share of positions whose top-1 is the reference's top-1 (same file, host arithmetic).
    top1_agreement: float | None = None
    #: Share of positions whose top-1 is the token that really follows in the prompt.
    accuracy: float = 0.0
    #: Share of positions whose top-1 is not the unquantized model's; None without such a model.
    quantization_error_rate: float | None = None


class CaseResult(TolerantModel):
    """One test case. Device clock throughout, unless a name says host."""

    n_prompt: int
    #: 0: prefill only.
    n_gen: int
    prefill_tokens_per_second: Samples
    #: None when n_gen is 0 or 1: there is no step between tokens then.
    decode_tokens_per_second: Samples | None
    #: Start of prefill to first token id known, by the board's clock.
    ttft_s: Samples
    #: From RUN sent to the first token seen on the host, with the link; None when no event arrived.
    ttft_host_s: Samples | None
    inter_token_p50_s: float | None
    inter_token_p95_s: float | None
    inter_token_p99_s: float | None
    #: Median over repetitions of each decode step's latency, by position in the context.
    position_latency_s: tuple[float, ...]
    #: Share of the run the core was not idle, 0..1.
    cpu_utilization: Samples | None
    run_device_s: Samples
    run_host_s: Samples
    #: All n_gen of them: a run goes on after the model has ended its text.
    tokens: tuple[int, ...]
    #: How many tokens came before the first that ends a text (EOS, EOT); None when there was none.
    ended_at_token: int | None = None
    #: The text of the tokens up to that one; None without generated tokens or a tokenizer.
    text: str | None
    #: With n_gen 0 it is of the one token whose id ends the prefill.
    output_check: OutputCheck | None
    score: ScoreResult | None = None
    #: What follows from the numbers above; None in records of schema 2 and before.
    derived: Derived | None = None
    #: Where the time goes, when the job asked for it.
    profile: Profile | None = None


class LoadResult(TolerantModel):
    """How the model got onto the board."""

    #: "flash", "ram", or "cached" when it was on the board already.
    how: str
    region: str
    #: The board's own time to check and lay out the model.
    load_device_s: float
    #: Host time from first to last byte moved; None when nothing was sent over the link.
    transfer_s: float | None
    transfer_bytes: int
    transfer_bytes_per_second: float | None
    n_ctx: int
    kv_type: str


class Identity(FirmwareAndClock):
    """Which board was measured, with which firmware and toolchain."""

    device_id: str
    platform: str
    host: str
    board_uid: str
    edgeprof_version: str


class JobResult(TolerantModel):
    """The result of the one attempt that had the lease to the end."""

    largest_bytes: ClassVar[int] = 8 * 1024 * 1024

    #: 1 for results that were written before there was a number.
    schema_version: int = 1
    model: ModelRef
    identity: Identity
    load: LoadResult
    cases: tuple[CaseResult, ...] = Field(min_length=1)
    memory: tuple[MemoryUse, ...]
    regions: tuple[RegionUse, ...]
    #: Location -> degrees Celsius at the end of the run; absent without a sensor.
    temperature_celsius: dict[str, float] | None = None
    temperature_emulated: bool = False
    #: Millijoules per generated token; None without a meter.
    energy_per_token_mj: float | None = None
    #: The same of each repetition; empty in records that did not keep it, and for several cases.
    energy_samples_mj: tuple[float, ...] = ()
    #: Which kind of meter measured it; None without one.
    energy_meter: str | None = None
    #: Why there is no energy although there is a meter.
    energy_trouble: str | None = None
    #: Why a run has no spans from the board's clock: it could not be placed on the host's.
    clock_trouble: str | None = None
    #: Sizes of the model and its types, from which `edgeprof predict` works.
    dimensions: ModelDimensions | None = None
    #: What the board could do at best; None when no profile was asked for.
    ceilings: Ceilings | None = None
    #: Why there is no profile although the job asked for it.
    profile_trouble: str | None = None


class InputScoring(TolerantModel):
    """The text that was scored over."""

    text: str
    text_sha256: str
    windows: tuple[tuple[int, ...], ...]
    #: So many tokens at the beginning of each window but the first were only context.
    context_tokens: int = 1
    #: Top-1 tokens of the unquantized model, which quantization_error_rate is counted from.
    unquantized_top1: tuple[tuple[int, ...], ...] | None = None


class InputCase(TolerantModel):
    """One test case, as it was asked for."""

    #: "text", "tokens" (ids were given) or "standard" (n_prompt tokens of a text that ships).
    prompt_source: PromptSource | None = None
    #: The prompt as it was given, or its beginning; None when ids were given, and in schema 1.
    prompt_text: str | None = None
    #: Length of the whole text that prompt_text is, or begins.
    prompt_characters: int | None = None
    prompt_tokens: tuple[int, ...]
    n_gen: int
    scoring: InputScoring | None = None

    @classmethod
    def of(cls, case: TestCase) -> InputCase:
        """Return a case as results show it."""
        scoring = None
        if case.scoring is not None:
            scoring = InputScoring.model_construct(**_fields(InputScoring, case.scoring))
        return InputCase.model_construct(**_fields(InputCase, case, "scoring"), scoring=scoring)


def _fields(kind: type[TolerantModel], record: WireModel, but: str = "") -> dict[str, Any]:
    return {name: getattr(record, name) for name in kind.model_fields if name != but}


class Inputs(TolerantModel):
    """Everything that a job was asked to do. With the model's file it can be run again."""

    #: Schema of the record in the store.
    schema_version: int
    cases: tuple[InputCase, ...]
    repetitions: int
    warmup: int
    n_ctx: int
    kv_type: KvType
    check_output: bool
    score: bool
    profile: bool = False
    timeout_s: float
    queue_timeout_s: float
    max_attempts: int
    tags: dict[str, str]
    #: Tags that its board had to have.
    require: dict[str, str] = Field(default_factory=dict)
    #: What submitted the job, and its version; "" in schema 1.
    source: str
    #: Bytes of the model's tensors, as llama-bench counts model_size; None in schema 1.
    tensor_bytes: int | None

    @classmethod
    def of(cls, spec: JobSpec) -> Inputs:
        """Return a job's inputs, not validated again: the record was, and views are made often."""
        cases = tuple(map(InputCase.of, spec.cases))
        return Inputs.model_construct(**_fields(Inputs, spec, "cases"), cases=cases)


class JobView(TolerantModel):
    """A job as users see it: record, inputs, attempts and, once succeeded, the result."""

    largest_bytes: ClassVar[int] = 16 * 1024 * 1024

    #: Schema of this document. Those of schema 1 have no inputs.
    schema_version: int = 1
    id: str
    state: JobState
    #: Why it is in this state, in one line.
    reason: str
    model: ModelRef
    target: str
    priority: int
    user: str
    sweep_id: str | None
    #: Seconds since the epoch, Redis' clock.
    created_s: float
    started_s: float | None
    finished_s: float | None
    attempts: tuple[Attempt, ...]
    trace_id: str | None
    inputs: Inputs | None = None
    #: How long an attempt was expected to take at submit; None where nothing told it.
    expected: Expected | None = None
    result: JobResult | None
