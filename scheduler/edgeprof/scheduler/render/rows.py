"""A measured job as llama-bench's rows: one for prefill (ppN) and one for decode (tgN) of each case.

Field names are llama-bench's where it has the quantity (`model_size`, `n_prompt`, `avg_ts`,
`samples_ts`, …), so that scripts written for its CSV and JSON read ours. As there, a row measures either
prompt or generation: the other count is 0, and `n_depth` is what the KV cache held before.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any

from edgeprof.shared.results import CaseResult, Identity, JobView, Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchRow:
    """One test of one job. Seconds are the board's own clock's, except `ttft_host_s`."""

    job_id: str
    test_time: str
    model_filename: str
    model_type: str
    model_sha256: str
    model_size: int
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
    avg_ts: float
    stddev_ts: float
    samples_ts: tuple[float, ...]
    ttft_s: float
    ttft_host_s: float | None
    inter_token_p50_s: float | None
    inter_token_p95_s: float | None
    inter_token_p99_s: float | None
    checked_tokens: int | None
    matched_tokens: int | None
    attempts: int
    trace_id: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return plain values in the order above."""
        return asdict(self)


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(BenchRow))


def bench_rows(view: JobView) -> list[BenchRow]:
    """Return the rows of a job; none for a job without a result."""
    if view.result is None:
        return []
    rows = []
    for case in view.result.cases:
        prefill = case.prefill_tokens_per_second
        rows.append(_row(view, case, f"pp{case.n_prompt}", prefill, (case.n_prompt, 0, 0)))
        if case.decode_tokens_per_second is not None:
            decode = case.decode_tokens_per_second
            rows.append(_row(view, case, f"tg{case.n_gen}", decode, (0, case.n_gen, case.n_prompt)))
    return rows


def _row(
    view: JobView, case: CaseResult, test: str, speed: Samples, counts: tuple[int, int, int]
) -> BenchRow:
    assert view.result is not None
    identity, load, check = view.result.identity, view.result.load, case.output_check
    finished = datetime.fromtimestamp(view.finished_s or view.created_s, UTC)
    n_prompt, n_gen, n_depth = counts
    return BenchRow(
        job_id=view.id,
        test_time=finished.isoformat(timespec="seconds").replace("+00:00", "Z"),
        model_filename=view.model.name,
        model_type=f"{view.model.architecture} {view.model.quantization}",
        model_sha256=view.model.sha256,
        model_size=view.model.size_bytes,
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
        avg_ts=speed.mean,
        stddev_ts=speed.sd,
        samples_ts=speed.samples,
        ttft_s=case.ttft_s.mean,
        ttft_host_s=case.ttft_host_s.mean if case.ttft_host_s else None,
        inter_token_p50_s=case.inter_token_p50_s,
        inter_token_p95_s=case.inter_token_p95_s,
        inter_token_p99_s=case.inter_token_p99_s,
        checked_tokens=check.of if check else None,
        matched_tokens=check.matched if check else None,
        attempts=len(view.attempts),
        trace_id=view.trace_id,
    )


def chip(identity: Identity) -> str:
    """Name the chip, with its clock where it states one."""
    clock = f" @ {identity.clock_hz / 1e6:g} MHz" if identity.clock_hz else ""
    return f"{identity.platform}{clock}"
