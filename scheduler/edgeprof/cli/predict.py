"""The command `edgeprof predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.model_options import CacheType, Heads, Quantizations
from edgeprof.cli.platform_costs import measured_on
from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.humanize import SECONDS, human_bytes, unit_of
from edgeprof.client.lab import Lab
from edgeprof.client.prediction.costs import Measured, fit
from edgeprof.client.prediction.predict import PastErrors, Predicted, past_errors, predict
from edgeprof.client.preparation import Preparer
from edgeprof.shared.errors import UsageError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.fit import activation_bytes, kv_bytes
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.types.model import KvType, Quantization


@dataclass(frozen=True, slots=True)
class _Row:
    model: ModelFile
    platform: str
    predicted: Predicted | None
    errors: PastErrors | None
    weights_region: str
    state_bytes: int


def predict_speed(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            autocompletion=completion.models,
            help="Name (see `edgeprof models list`) or path of a GGUF.",
        ),
    ],
    platform: Annotated[
        list[str],
        typer.Option(
            metavar="PLATFORM",
            autocompletion=completion.platforms,
            help="Platform of which the lab has profiles; repeatable.",
        ),
    ],
    quantization: Quantizations = None,
    head: Heads = None,
    n_prompt: Annotated[
        int, typer.Option("--n-prompt", "-p", min=1, metavar="N", help="Tokens of the prompt.")
    ] = 64,
    n_gen: Annotated[
        int, typer.Option("--n-gen", "-n", min=1, metavar="N", help="Tokens to generate.")
    ] = 64,
    kv_type: CacheType = KvType.F16,
    wide: output.Wide = False,
    json: output.Json = False,
) -> None:
    """Say how fast a model would be, without touching a board.

    From what profiles of the platform say its operators cost: edgeprof submit --profile makes them.

    Example: edgeprof predict -m shakespeare-1m -q Q8_0 -q Q4_0 --platform stm32f405
    """
    with Lab(hurried=True) as lab:
        preparer = Preparer(lab.settings.cache_dir)
        types: Sequence[Quantization | None] = quantization or [None]
        heads: Sequence[Quantization | None] = head or [None]
        source = preparer.source(model)
        files = [preparer.typed(source, kind, of) for kind in types for of in heads]
    for file in files:
        if n_prompt + n_gen - 1 > file.shape.n_ctx:
            raise UsageError(
                f"{n_prompt} tokens of prompt and {n_gen} generated ones do not fit:"
                f" {file.name} was trained for {file.shape.n_ctx} positions",
                hint="-p and -n set them",
            )
    rows = [
        _predicted(file, name, samples, n_prompt, n_gen, kv_type)
        for name in dict.fromkeys(platform)
        for samples in [_profiles_of(name, model)]
        for file in files
    ]
    if json:
        output.print_json([_as_json(row, n_prompt, n_gen) for row in rows])
        return
    output.show_sheet(_sheet(rows, n_prompt, n_gen), wide=wide)
    if any(row.predicted is None for row in rows):
        output.note(
            f"not known: no profile there has a KV cache of {kv_type}, or one of the weight types"
        )
    output.note("predicted, not measured; error: of earlier predictions, median and 90 % of them")


def _profiles_of(platform: str, model: str) -> list[Measured]:
    samples = measured_on(platform)
    if not any(sample.profile for sample in samples):
        raise UsageError(
            f"no job on {platform} has a profile, so nothing is known of its costs",
            hint=f"edgeprof submit --profile -m {model} --platform {platform}",
        )
    return samples


def _predicted(
    model: ModelFile,
    platform: str,
    samples: Sequence[Measured],
    n_prompt: int,
    n_gen: int,
    kv_type: KvType,
) -> _Row:
    profiled = [sample for sample in samples if sample.profile]
    region = profiled[0].dimensions.weights_region
    dimensions = dimensions_of(model, kv_type, region)
    n_ctx = n_prompt + n_gen - 1
    return _Row(
        model=model,
        platform=platform,
        predicted=predict(fit(samples), dimensions, n_prompt, n_gen),
        errors=past_errors(samples),
        weights_region=region,
        state_bytes=kv_bytes(model.shape, n_ctx, kv_type) + activation_bytes(model.shape, n_ctx),
    )


def _sheet(rows: Sequence[_Row], n_prompt: int, n_gen: int) -> Sheet:
    sheet = Sheet(
        [
            Column("model"),
            Column("type"),
            Column("platform"),
            Column(f"pp{n_prompt} t/s", right=True),
            Column(f"tg{n_gen} t/s", right=True),
            Column("TTFT", leave=3, right=True),
            Column("weights", leave=1, right=True),
            Column("state", leave=0, right=True),
            Column("error", leave=2, right=True),
        ]
    )
    unit = unit_of(SECONDS, [row.predicted.prefill_s for row in rows if row.predicted])
    for row in rows:
        found = row.predicted
        decode = None if found is None else found.decode_tokens_per_second
        sheet.add(
            row.model.name,
            row.model.quantization,
            row.platform,
            "not known" if found is None else f"{found.prefill_tokens_per_second:.2f}",
            "" if decode is None else f"{decode:.2f}",
            "" if found is None else unit(found.prefill_s),
            f"{human_bytes(row.model.size_bytes)} ({row.weights_region})",
            human_bytes(row.state_bytes),
            "not known" if row.errors is None else f"{row.errors.median:.1%}, {row.errors.p90:.1%}",
        )
    return sheet


def _as_json(row: _Row, n_prompt: int, n_gen: int) -> dict[str, object]:
    found = row.predicted
    return {
        "model": row.model.name,
        "quantization": str(row.model.quantization),
        "platform": row.platform,
        "n_prompt": n_prompt,
        "n_gen": n_gen,
        "predicted": None
        if found is None
        else {
            "prefill_tokens_per_second": found.prefill_tokens_per_second,
            "decode_tokens_per_second": found.decode_tokens_per_second,
            "ttft_s": found.prefill_s,
            "run_s": found.run_s,
        },
        "weights_bytes": row.model.size_bytes,
        "weights_region": row.weights_region,
        "state_bytes": row.state_bytes,
        "error": None
        if row.errors is None
        else {"median": row.errors.median, "p90": row.errors.p90, "n": row.errors.n},
    }
