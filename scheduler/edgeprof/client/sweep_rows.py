"""The measured jobs of a sweep as rows that can be compared: speed, quality, memory, energy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from reprlib import repr as short_repr
from typing import Any

from edgeprof.client.quality import Qualities, measures_quality
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.result import JobResult, JobView, Samples, ScoreResult


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepRow:
    """One measured job; what was not measured is None."""

    job_id: str
    model: str
    model_sha256: str
    #: The weight type, after the lossy ones that it was made from.
    made_as: str
    platform: str
    device_id: str
    emulated: bool
    #: The prompt and the number of generated tokens: rows of one test compare.
    test: str
    test_key: tuple[Any, ...]
    #: What is chosen: model, target, cache type and context, if the sweep varies it.
    choice: tuple[Any, ...]
    n_prompt: int
    n_gen: int
    n_ctx: int
    kv_type: str
    #: Tokens per second: of decoding, or of prefill where no token follows the first.
    speed: Samples
    ttft_s: float
    perplexity: float | None
    perplexity_stderr: float | None
    #: Against the least perplexity of the sweep over the same tokens; 0.05 is 5 % more.
    perplexity_increase: float | None
    #: Share of positions whose likeliest token is not that of the model as its file is, with an F32
    #: cache; None for that model itself with another cache.
    top1_change: float | None
    #: What the perplexity is over, e.g. "512 tokens of the-tempest in windows of 128".
    scored_over: str | None
    #: Of model, state and firmware, with the deepest stack.
    ram_bytes: int | None
    #: Of model and firmware; None where the board has no flash for models.
    flash_bytes: int | None
    energy_per_token_mj: float | None


def sweep_rows(views: Sequence[JobView]) -> list[SweepRow]:
    """Return a row for each job that measured speed, in order."""
    measured = [view for view in views if view.result is not None and view.inputs is not None]
    qualities = Qualities(measured)
    speeds = [view for view in measured if not measures_quality(view)]
    varied = _with_varied_context(speeds)
    return [_row(view, qualities, varied) for view in speeds]


def _row(view: JobView, qualities: Qualities, varied: frozenset[tuple[Any, ...]]) -> SweepRow:
    assert view.result is not None
    assert view.inputs is not None
    result, case, asked = view.result, view.result.cases[0], view.inputs.cases[0]
    group = _group(view)
    quality = qualities.of(view)
    score = quality.score if quality else None
    named = asked.prompt_source == "text" and asked.prompt_text is not None
    prompt = short_repr(asked.prompt_text) if named else f"pp{case.n_prompt}"
    return SweepRow(
        job_id=view.id,
        model=view.model.name,
        model_sha256=view.model.sha256,
        made_as=view.model.made_as,
        platform=result.identity.platform,
        device_id=result.identity.device_id,
        emulated=result.identity.emulated,
        test=f"{prompt} tg{case.n_gen}" if case.n_gen else prompt,
        test_key=(asked.prompt_source, asked.prompt_text or case.n_prompt, case.n_gen),
        choice=(*group, result.load.n_ctx if group in varied else None),
        n_prompt=case.n_prompt,
        n_gen=case.n_gen,
        n_ctx=result.load.n_ctx,
        kv_type=result.load.kv_type,
        speed=case.decode_tokens_per_second or case.prefill_tokens_per_second,
        ttft_s=case.ttft_s.mean,
        perplexity=score.perplexity if score else None,
        perplexity_stderr=score.perplexity_stderr if score else None,
        perplexity_increase=qualities.increase(quality) if quality else None,
        top1_change=_top1_change(view, score),
        scored_over=_over(score) if score else None,
        ram_bytes=_ram_bytes(result),
        flash_bytes=_flash_bytes(result),
        energy_per_token_mj=result.energy_per_token_mj,
    )


def _group(view: JobView) -> tuple[Any, ...]:
    return view.model.sha256, view.target, _kv_type(view)


def _with_varied_context(views: Iterable[JobView]) -> frozenset[tuple[Any, ...]]:
    """Return the groups that were given a context; one that follows the prompt is no choice."""
    found = set()
    for view in views:
        assert view.inputs is not None
        case = view.inputs.cases[0]
        needed = len(case.prompt_tokens) + max(case.n_gen, 1) - 1
        if view.inputs.n_ctx != needed and not view.inputs.score:
            found.add(_group(view))
    return frozenset(found)


def _kv_type(view: JobView) -> str:
    return str(view.inputs.kv_type) if view.inputs else ""


def _top1_change(view: JobView, score: ScoreResult | None) -> float | None:
    if score is None or score.quantization_error_rate is not None:
        return None if score is None else score.quantization_error_rate
    exact = (view.model.made_as, _kv_type(view)) == (Quantization.F32, KvType.F32)
    return 0.0 if exact else None  # by definition; an F16 cache may change a token


def _over(score: ScoreResult) -> str:
    windows = f" in windows of {score.window_tokens}" if score.window_tokens else ""
    windows += f", stride {score.stride_tokens}" if score.stride_tokens else ""
    return f"{score.n_tokens} tokens of {score.text}{windows}"


def _ram_bytes(result: JobResult) -> int | None:
    """Return what model, state and firmware took of the RAM, with the deepest stack.

    A region's high-water mark is not taken: it is that of all jobs since the board started.
    """
    if not any(region.kind == "ram" for region in result.regions):
        return None
    used = sum(region.used_bytes for region in result.regions if region.kind == "ram")
    return used + sum(r.high_water_bytes for r in result.regions if r.kind == "stack")


def _flash_bytes(result: JobResult) -> int | None:
    used = [region.used_bytes for region in result.regions if region.kind == "flash"]
    return sum(used) if used else None
