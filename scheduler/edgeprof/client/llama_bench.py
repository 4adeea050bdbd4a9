"""A measured job as llama-bench's rows: for each case one of prefill (ppN), one of decode (tgN).

Field names are llama-bench's where it has the quantity (`model_size`, `n_prompt`, `avg_ts`,
`samples_ts`, …), so that scripts written for its CSV and JSON can read ours. As there, a row
measures either prompt or generation. The other count is 0, and `n_depth` counts the tokens before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Final

from edgeprof.shared.types.model import made_as
from edgeprof.shared.types.result import CaseResult, Identity, InputCase, JobView, Samples

#: Keys that scripts for llama-bench require, with llama-bench's value for "none". A board takes one
#: token at a time, on one core, and has no GPU, no files to map and no choice of buffers.
ALWAYS: Final[dict[str, Any]] = {
    "build_number": 0,
    "gpu_info": "",
    "n_batch": 1,
    "n_ubatch": 1,
    "n_threads": 1,
    "cpu_mask": "0x0",
    "cpu_strict": False,
    "poll": 0,
    "n_gpu_layers": 0,
    "n_cpu_moe": 0,
    "split_mode": "none",
    "main_gpu": 0,
    "no_kv_offload": False,
    "flash_attn": False,
    "devices": "none",
    "tensor_split": "0.00",
    "tensor_buft_overrides": "none",
    "load_mode": "none",  # since llama.cpp of 2026; before it, the next two
    "use_mmap": False,
    "use_direct_io": False,
    "embeddings": False,
    "no_op_offload": False,
    "no_host": False,
    "lazy_mode": "off",
    "repack": False,
    "fit_target": 0,
    "fit_min_ctx": 0,
}

#: The slowest speed that is believed: a token an hour.
_SLOWEST_PER_S: Final = 1 / 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One test of one job. Seconds are the board's own clock's, except `ttft_host_s`."""

    #: Schema of the job's record; records of schema 1 have no inputs.
    schema_version: int
    job_id: str
    test_time: str
    model_filename: str
    model_type: str
    model_sha256: str
    #: The file that the weights come from, and its content; null when the record does not say.
    model_source_file: str | None
    model_source_sha256: str | None
    #: Types that the weights had, from the source's to the one that was run.
    model_source_chain: tuple[str, ...] | None
    #: Bytes of the model's tensors, as llama-bench counts; null for jobs of schema 1.
    model_size: int | None
    #: Bytes of the model's file.
    model_file_size: int
    model_n_params: int
    backends: str
    cpu_info: str
    device_id: str
    board_uid: str
    host: str
    emulated: bool
    clock_hz: int | None
    build_commit: str
    toolchain: str
    type_k: str
    type_v: str
    test: str
    n_prompt: int
    n_gen: int
    n_depth: int
    #: Positions of the KV cache.
    n_ctx: int
    #: Time of the test: of N generated tokens, of the N - 1 steps between them.
    avg_ns: int | None
    stddev_ns: int | None
    avg_ts: float
    stddev_ts: float
    samples_ns: tuple[int, ...]
    samples_ts: tuple[float, ...]
    ttft_s: float
    ttft_host_s: float | None
    inter_token_p50_s: float | None
    inter_token_p95_s: float | None
    inter_token_p99_s: float | None
    checked_tokens: int | None
    matched_tokens: int | None
    #: How many tokens came before the one that ended the text; null when none did.
    ended_at_token: int | None
    #: Over score_text; null unless the job was to be scored. So are the fields below.
    perplexity: float | None
    perplexity_stderr: float | None
    nll_nats: float | None
    score_tokens: int | None
    score_text: str | None
    score_text_sha256: str | None
    score_window: int | None
    #: Tokens from one window's beginning to the next's; null where windows do not overlap.
    score_stride: int | None
    top1_accuracy: float | None
    quantization_error_rate: float | None
    attempts: int
    trace_id: str | None
    #: Inputs; null for jobs of schema 1 in an archive of theirs.
    repetitions: int | None
    warmup: int | None
    prompt_source: str | None
    prompt_text: str | None
    prompt_tokens: tuple[int, ...] | None
    tags: dict[str, str] | None
    user: str
    sweep_id: str | None
    source: str | None

    @property
    def made_as(self) -> str:
        """The type in tables: "Q8_0", or "Q4_0>Q8_0" when it was made from a less precise type."""
        return made_as(self.model_type.split()[-1], self.model_source_chain or ())

    def as_dict(self) -> dict[str, Any]:
        """Return plain values in the order of the fields, then those of ALWAYS."""
        return asdict(self) | ALWAYS


FIELDS: tuple[str, ...] = (*(field.name for field in fields(BenchRow)), *ALWAYS)


def bench_rows(view: JobView) -> list[BenchRow]:
    """Return the rows of a job; none for a job without a result."""
    if view.result is None:
        return []
    rows = []
    for index, case in enumerate(view.result.cases):
        prefill, n_prompt = case.prefill_tokens_per_second, case.n_prompt
        asked = view.inputs.cases[index] if view.inputs else None
        rows.append(_row(view, case, asked, f"pp{n_prompt}", prefill, (n_prompt, 0, 0), n_prompt))
        if case.decode_tokens_per_second is not None:
            decode, n_gen = case.decode_tokens_per_second, case.n_gen
            counts = (0, n_gen, n_prompt)
            rows.append(_row(view, case, asked, f"tg{n_gen}", decode, counts, n_gen - 1))
    return rows


# Long because it is a list: a field of the row, a line.
def _row(
    view: JobView,
    case: CaseResult,
    asked: InputCase | None,
    test: str,
    speed: Samples,
    counts: tuple[int, int, int],
    n_timed: int,
) -> BenchRow:
    assert view.result is not None
    identity, load, check = view.result.identity, view.result.load, case.output_check
    inputs, score, source = view.inputs, case.score, view.model.source
    finished = datetime.fromtimestamp(view.finished_s or view.created_s, UTC)
    n_prompt, n_gen, n_depth = counts
    times = _times(speed, n_timed)
    return BenchRow(
        schema_version=view.schema_version,
        job_id=view.id,
        test_time=finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
        model_filename=view.model.name,
        model_type=f"{view.model.architecture} {view.model.quantization}",
        model_sha256=view.model.sha256,
        model_source_file=source.file if source else None,
        model_source_sha256=source.sha256 if source else None,
        model_source_chain=source.chain if source else None,
        model_size=inputs.tensor_bytes if inputs else None,
        model_file_size=view.model.size_bytes,
        model_n_params=view.model.n_params,
        backends=identity.platform,
        cpu_info=chip(identity),
        device_id=identity.device_id,
        board_uid=identity.board_uid,
        host=identity.host,
        emulated=identity.emulated,
        clock_hz=identity.clock_hz,
        build_commit=identity.firmware_git_hash,
        toolchain=identity.toolchain,
        type_k=load.kv_type.lower(),
        type_v=load.kv_type.lower(),
        test=test,
        n_prompt=n_prompt,
        n_gen=n_gen,
        n_depth=n_depth,
        n_ctx=load.n_ctx,
        avg_ns=round(times.mean) if times else None,
        stddev_ns=round(times.sd) if times else None,
        avg_ts=speed.mean,
        stddev_ts=speed.sd,
        samples_ns=tuple(map(round, times.samples)) if times else (),
        samples_ts=speed.samples,
        ttft_s=case.ttft_s.mean,
        ttft_host_s=case.ttft_host_s.mean if case.ttft_host_s else None,
        inter_token_p50_s=case.inter_token_p50_s,
        inter_token_p95_s=case.inter_token_p95_s,
        inter_token_p99_s=case.inter_token_p99_s,
        checked_tokens=check.of if check else None,
        matched_tokens=check.matched if check else None,
        ended_at_token=case.ended_at_token,
        perplexity=score.perplexity if score else None,
        perplexity_stderr=score.perplexity_stderr if score else None,
        nll_nats=score.nll_nats if score else None,
        score_tokens=score.n_tokens if score else None,
        score_text=score.text if score else None,
        score_text_sha256=score.text_sha256 if score else None,
        score_window=score.window_tokens if score else None,
        score_stride=score.stride_tokens if score else None,
        top1_accuracy=score.accuracy if score else None,
        quantization_error_rate=score.quantization_error_rate if score else None,
        attempts=len(view.attempts),
        trace_id=view.trace_id,
        repetitions=inputs.repetitions if inputs else None,
        warmup=inputs.warmup if inputs else None,
        prompt_source=asked.prompt_source if asked else None,
        prompt_text=asked.prompt_text if asked else None,
        prompt_tokens=asked.prompt_tokens if asked else None,
        tags=inputs.tags if inputs else None,
        user=view.user,
        sweep_id=view.sweep_id,
        source=inputs.source if inputs else None,
    )


def _times(speed: Samples, n_timed: int) -> Samples | None:
    """Return the nanoseconds that speeds stand for, or None when a speed is impossible."""
    if not speed.samples or not all(per_s > _SLOWEST_PER_S for per_s in speed.samples):
        return None
    return Samples.of([1e9 * n_timed / per_s for per_s in speed.samples])


def chip(identity: Identity) -> str:
    """Name the chip, with its clock where it states one."""
    clock = f" @ {identity.clock_hz / 1e6:g} MHz" if identity.clock_hz else ""
    return f"{identity.platform}{clock}"
