"""What a sweep would queue: its jobs, and how long they are predicted to take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.durations import Predicted
from edgeprof.client.humanize import human_duration
from edgeprof.shared.types.job import JobSpec

_COLUMNS: Final = (
    Column("model"),
    Column("target"),
    Column("test", right=True),
    Column("context", leave=1, right=True),
    Column("cache", leave=0),
    Column("takes", right=True),
)


def sheet(specs: Sequence[JobSpec], predicted: Predicted) -> Sheet:
    """Return a table with a row for each job."""
    shown = Sheet(_COLUMNS)
    for spec, took_s in zip(specs, predicted.jobs_s, strict=True):
        shown.add(
            f"{spec.model.name} {spec.model.made_as}",
            str(spec.target),
            _test(spec),
            str(spec.n_ctx),
            str(spec.kv_type),
            "unknown" if took_s is None else human_duration(took_s),
        )
    return shown


def as_json(specs: Sequence[JobSpec], predicted: Predicted) -> list[dict[str, Any]]:
    """Return the jobs as plain values."""
    return [
        {
            "model": spec.model.name,
            "quantization": str(spec.model.quantization),
            "target": str(spec.target),
            "test": _test(spec),
            "n_ctx": spec.n_ctx,
            "kv_type": str(spec.kv_type),
            "predicted_s": took_s,
        }
        for spec, took_s in zip(specs, predicted.jobs_s, strict=True)
    ]


def summary(specs: Sequence[JobSpec], predicted: Predicted, measured: int, refused: int) -> str:
    """Return one line about all of it."""
    line = f"{len(specs)} job(s) to queue, {measured} measured before, {refused} refused"
    known = len(specs) - predicted.unknown
    if known:
        line += f"; predicted from earlier jobs: {human_duration(predicted.all_s)}"
    if predicted.unknown:
        line += f"; not predicted: {predicted.unknown}, whose platform has no measured job yet"
    return line


def _test(spec: JobSpec) -> str:
    case = spec.cases[0]
    if case.scoring is not None and case.n_gen == 0:
        return f"perplexity, {case.scoring.n_tokens} tokens"
    return f"pp{len(case.prompt_tokens)}" + (f" tg{case.n_gen}" if case.n_gen else "")
