"""The demo's results: JSON for scripts, and the summary below the table for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edgeprof.cli.render.report import shown_text
from edgeprof.client.sweep import Refused
from edgeprof.shared.types.job import SCHEMA_VERSION
from edgeprof.shared.types.result import JobView, Samples


def as_json(
    views: Iterable[JobView], refusals: Iterable[Refused], left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Return the demo's documented JSON (docs/reference/results.md)."""
    return {
        "schema_version": SCHEMA_VERSION,
        "results": [_job(view) for view in views],
        "refused": [
            {
                "model": str(refusal.request.model),
                "quantization": str(refusal.request.quantization),
                "platform": refusal.request.platform,
                "reason": str(refusal.error),
            }
            for refusal in refusals
        ],
        "left_out": [
            {"platform": platform, "reason": reason} for platform, reason in left_out.items()
        ],
    }


def samples_of_text(views: Iterable[JobView]) -> dict[str, str]:
    """Return the first measured text of each model and type: "name type" -> text."""
    texts: dict[str, tuple[str, str]] = {}
    for view in views:
        case = view.result.cases[0] if view.result else None
        if case and case.text is not None:
            texts.setdefault(view.model.name, (str(view.model.quantization), shown_text(case)))
    return {f"{model} {kind}": text for model, (kind, text) in texts.items()}


def refusal_lines(refusals: Sequence[Refused]) -> list[str]:
    """Return a line for each refusal: which model does not fit which board, with the sizes."""
    return [str(refusal.error) for refusal in refusals]


def _job(view: JobView) -> dict[str, Any]:
    result = view.result
    case = result.cases[0] if result else None
    check = case.output_check if case else None
    return {
        "job_id": view.id,
        "state": str(view.state),
        "model": view.model.name,
        "quantization": str(view.model.quantization),
        "platform": result.identity.platform if result else view.target,
        "device_id": view.attempts[-1].device_id if view.attempts else None,
        "emulated": result.identity.emulated if result else None,
        "prefill_tokens_per_second": _samples(case.prefill_tokens_per_second if case else None),
        "decode_tokens_per_second": _samples(case.decode_tokens_per_second if case else None),
        "ttft_s": case.ttft_s.mean if case else None,
        "output_check": {"matched": check.matched, "of": check.of} if check else None,
        "ended_at_token": case.ended_at_token if case else None,
        "attempts": len(view.attempts),
        "trace_id": view.trace_id,
        "inputs": view.inputs.model_dump(mode="json") if view.inputs else None,
    }


def _samples(samples: Samples | None) -> dict[str, Any] | None:
    return None if samples is None else samples.model_dump(mode="json")
