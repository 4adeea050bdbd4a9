"""`edgeprof models`: list, inspect, quantize and import models, and see which boards they fit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from edgeprof.cli import completion, output
from edgeprof.cli.command_style import App
from edgeprof.cli.model_options import CacheType, Quantizations
from edgeprof.cli.render.bar import bar
from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.cli.render.model import model_facts, model_json, model_tables
from edgeprof.cli.render.tables import new_table
from edgeprof.client.humanize import BYTES, COUNTS, human_bytes, unit_of
from edgeprof.client.lab import Lab
from edgeprof.client.prediction.costs import Costs
from edgeprof.client.prediction.costs import fit as fit_costs
from edgeprof.client.prediction.predict import predict
from edgeprof.client.preparation import Preparer
from edgeprof.shared.errors import UsageError
from edgeprof.shared.models import ModelFile, catalogue, importing
from edgeprof.shared.models.fit import FitReport, fit
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.models.quantize import padding_note
from edgeprof.shared.models.quantize import quantize as write_quantized
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import KvType, Quantization

app = App(
    help="Models: list, inspect, quantize, import; and which boards one fits.\n\n"
    "Example: edgeprof models list",
    no_args_is_help=True,
)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        autocompletion=completion.models,
        help="Name of a bundled model, or a path.",
    ),
]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="File to write.")]


@app.command("list")
def list_models(wide: output.Wide = False, json: output.Json = False) -> None:
    """List the models that come with the project.

    Example: edgeprof models list --json
    """
    found = catalogue.list_models()
    if json:
        output.print_json([model_facts(model) for model in found])
        return
    sheet = Sheet(
        [
            Column("model"),
            Column("type", leave=5),
            Column("size", leave=4, right=True),
            Column("params", leave=3, right=True),
            Column("context", leave=2, right=True),
            Column("vocabulary", leave=1, right=True),
            Column("file", leave=0),
        ]
    )
    size = unit_of(BYTES, [model.size_bytes for model in found])
    params = unit_of(COUNTS, [model.n_params for model in found])
    for model in found:
        sheet.add(
            model.name,
            model.quantization,
            size(model.size_bytes),
            params(model.n_params),
            str(model.shape.n_ctx),
            str(model.shape.n_vocab),
            model.path.name,
        )
    output.show_sheet(sheet, wide=wide)


@app.command()
def inspect(model: Model, json: output.Json = False) -> None:
    """Show what is in a GGUF: shape, types, metadata, tensors.

    Example: edgeprof models inspect shakespeare-240k
    """
    file = catalogue.resolve_source(model)
    if json:
        output.print_json(model_json(file))
        return
    for table in model_tables(file):
        output.show(table)


@app.command()
def quantize(
    model: Model,
    to: Annotated[Quantization, typer.Argument(metavar="TYPE", case_sensitive=False)],
    out: Out,
    head: Annotated[
        Quantization | None,
        typer.Option(
            metavar="TYPE",
            case_sensitive=False,
            help="Type of the embedding and the output head; by default TYPE, and Q8_0 for TQ2_0.",
        ),
    ] = None,
    json: output.Json = False,
) -> None:
    """Write a model with weights of another type: F32, F16, Q8_0, Q4_0 or TQ2_0.

    Reads any type that llama.cpp's Python package can, e.g. Q6_K or BF16.

    Example: edgeprof models quantize shakespeare-240k Q8_0 -o shakespeare-240k-Q8_0.gguf
    """
    source = catalogue.resolve_source(model)
    with bar(output.stderr(), f"{source.name} to {to}") as progress:
        made = write_quantized(source, to, out, progress, head=head)
    note = padding_note(made)
    if json:
        output.print_json(model_facts(made) | {"note": note})
        return
    if note:
        output.note(note)
    output.note(f"{out}: {made.name} {made.quantization}, {human_bytes(made.size_bytes)}")


@app.command()
def fits(
    model: Model,
    quantization: Quantizations = None,
    n_ctx: Annotated[int, typer.Option(min=1, metavar="N", help="Positions of KV cache.")] = 128,
    kv_type: CacheType = KvType.F16,
    json: output.Json = False,
) -> None:
    """Say for each board of the lab whether a model fits, with the sum.

    Example: edgeprof models fits shakespeare-1m -q Q8_0 -q TQ2_0
    """
    # Imported here: the other commands need no archive, and SQLAlchemy takes a fifth of a second.
    from edgeprof.cli.platform_costs import measured_on  # noqa: PLC0415

    with Lab(hurried=True) as lab:
        boards = lab.boards()
        preparer = Preparer(lab.settings.cache_dir)
        types: Sequence[Quantization | None] = quantization or [None]
        source = preparer.source(model)
        files = [preparer.typed(source, kind) for kind in types]
    if not boards:
        raise UsageError(
            "no board is known, so there is nothing to fit",
            hint="start some with: edgeprof worker --board native://",
        )
    costs = {name: fit_costs(measured_on(name)) for name in {board.platform for board in boards}}
    rows = [
        (file, board, report, _decode(file, costs[board.platform], report, n_ctx, kv_type))
        for file in files
        for board in boards
        for report in [_fit(file, board, n_ctx, kv_type)]
    ]
    if json:
        output.print_json(
            [
                {
                    "model": file.name,
                    "quantization": str(file.quantization),
                    "device_id": board.device_id,
                    "platform": board.platform,
                    "fits": report.fits,
                    "sum": report.explain(),
                    "predicted_decode_tokens_per_second": rate,
                }
                for file, board, report, rate in rows
            ]
        )
        return
    table = new_table("model", "type", "board", "fits", "t/s", "sum", text="sum")
    for file, board, report, rate in rows:
        verdict = Text("yes", style="green") if report.fits else Text("no", style="red")
        speed = "" if rate is None else f"{rate:.1f}"
        table.add_row(
            file.name, file.quantization, board.device_id, verdict, speed, report.explain()
        )
    output.show(table)
    if any(rate is not None for *_, rate in rows):
        output.note("t/s: predicted decode at half the context; error: edgeprof predict")


@app.command("import")
def import_model(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", help="llama2.c checkpoint (.bin), or folder from Hugging Face."
        ),
    ],
    out: Out,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="tokenizer.bin of a checkpoint. A folder brings its own."
        ),
    ] = None,
) -> None:
    """Make a GGUF of a model that was trained elsewhere; what PATH is, is found out.

    llama2.c: checkpoints of version 0, 1 and 2, with the tokenizer.bin that belongs to them.

    Hugging Face: folders of llama architecture with config.json, safetensors, and tokenizer.json
    or tokenizer.model. Weights become F32: edgeprof models quantize makes other types.

    Example: edgeprof models import stories260K.bin --tokenizer tok512.bin -o stories260K.gguf

    Example: edgeprof models import ~/models/tiny-llama -o tiny-llama.gguf
    """
    imported = importing.import_model(path, tokenizer, out)
    for line in imported.notes:
        output.note(line)
    model = imported.model
    output.note(f"{out}: {model.name} {model.quantization}, {human_bytes(model.size_bytes)}")


def _decode(
    model: ModelFile, costs: Costs, report: FitReport, n_ctx: int, kv_type: KvType
) -> float | None:
    """Predict decode at half the context; None for what does not fit, or without a profile."""
    if not report.fits or not costs.by_key:
        return None
    region = report.placements[0].region or ""
    half = max(n_ctx // 2, 1)
    found = predict(costs, dimensions_of(model, kv_type, region), half, 2)
    return None if found is None else found.decode_tokens_per_second


def _fit(model: ModelFile, board: BoardInfo, n_ctx: int, kv_type: KvType) -> FitReport:
    return fit(
        model.shape,
        model.size_bytes,
        n_ctx,
        kv_type,
        board.regions,
        can_flash=board.can_flash,
        can_upload=board.can_upload,
    )
