"""`edgeprof models`: what there is, what is in a file, other types of it, and where it fits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from edgeprof.scheduler.cli import output
from edgeprof.scheduler.lab import Lab
from edgeprof.scheduler.preparation import Preparer
from edgeprof.scheduler.render.tables import new_table
from edgeprof.scheduler.render.words import human_bytes, human_count
from edgeprof.shared.errors import UsageError
from edgeprof.shared.jobs import BoardInfo, KvType, Quantization
from edgeprof.shared.models import ModelFile, catalogue, importing
from edgeprof.shared.models.fit import FitReport, fit
from edgeprof.shared.models.quantize import quantize as write_quantized

app = typer.Typer(
    help="Models: list, inspect, quantize, import; and which boards one fits.\n\n"
    "Example: edgeprof models list",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a bundled model, or a path.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write.")]


@app.command("list")
def list_models(json: output.Json = False) -> None:
    """List the models that come with the project.

    Example: edgeprof models list --json
    """
    found = catalogue.list_models()
    if json:
        output.print_json([_facts(model) for model in found])
        return
    table = new_table("model", "type", "size", "params", "context", "vocabulary", "file")
    for model in found:
        table.add_row(
            model.name,
            model.quantization,
            human_bytes(model.size_bytes),
            human_count(model.n_params),
            str(model.shape.n_ctx),
            str(model.shape.n_vocab),
            model.path.name,
        )
    output.show(table)


@app.command()
def inspect(model: Model, json: output.Json = False) -> None:
    """Show what is in a GGUF: shape, types, tensors.

    Example: edgeprof models inspect shakespeare-240k
    """
    file = catalogue.resolve(model)
    tensors = file.header.tensors.values()
    if json:
        listed = [
            {"name": t.name, "type": str(t.quantization), "shape": t.ne, "size_bytes": t.n_bytes}
            for t in tensors
        ]
        output.print_json(_facts(file) | {"tensors": listed})
        return
    facts = new_table("", "")
    facts.show_header = False
    for name, value in _facts(file).items():
        facts.add_row(name, str(value))
    output.show(facts)
    table = new_table("tensor", "type", "shape", "bytes", right={"bytes"})
    for tensor in tensors:
        shape = " x ".join(map(str, tensor.ne))
        table.add_row(tensor.name, tensor.quantization, shape, f"{tensor.n_bytes:,}")
    output.show(table)


@app.command()
def quantize(
    model: Model,
    to: Annotated[Quantization, typer.Argument(metavar="TYPE", case_sensitive=False)],
    out: Out,
) -> None:
    """Write a model with weights of another type: F32, F16, Q8_0, Q4_0 or TQ2_0.

    Example: edgeprof models quantize shakespeare-240k Q8_0 -o shakespeare-240k-Q8_0.gguf
    """
    made = write_quantized(catalogue.resolve(model), to, out)
    output.note(f"{out}: {made.name} {made.quantization}, {human_bytes(made.size_bytes)}")


@app.command()
def fits(
    model: Model,
    quantization: Annotated[
        list[Quantization] | None,
        typer.Option("--quantization", "-q", case_sensitive=False, help="Repeatable."),
    ] = None,
    n_ctx: Annotated[int, typer.Option(min=1, help="Positions of KV cache.")] = 128,
    kv_type: Annotated[
        KvType, typer.Option(case_sensitive=False, help="Element type of the KV cache.")
    ] = KvType.F16,
    json: output.Json = False,
) -> None:
    """Say for each board of the lab whether a model fits, with the sum.

    Example: edgeprof models fits shakespeare-1m -q Q8_0 -q TQ2_0
    """
    with Lab() as lab:
        boards = lab.boards()
        preparer = Preparer(lab.settings.cache_dir)
        types: Sequence[Quantization | None] = quantization or [None]
        files = [preparer.model(model, kind) for kind in types]
    if not boards:
        raise UsageError(
            "no board is known, so there is nothing to fit",
            hint="start some with: edgeprof worker --board native://",
        )
    rows = [(file, board, _fit(file, board, n_ctx, kv_type)) for file in files for board in boards]
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
                }
                for file, board, report in rows
            ]
        )
        return
    table = new_table("model", "type", "board", "fits", "sum", text="sum")
    for file, board, report in rows:
        verdict = Text("yes", style="green") if report.fits else Text("no", style="red")
        table.add_row(file.name, file.quantization, board.device_id, verdict, report.explain())
    output.show(table)


@app.command("import")
def import_model(
    path: Annotated[
        Path, typer.Argument(help="llama2.c checkpoint (.bin), or folder from Hugging Face.")
    ],
    out: Out,
    tokenizer: Annotated[
        Path | None,
        typer.Option(help="tokenizer.bin of a checkpoint. A folder brings its own."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name. Default: the file's or folder's.")] = None,
) -> None:
    """Make a GGUF of a model that was trained elsewhere; what PATH is, is found out.

    llama2.c: checkpoints of version 0, 1 and 2, with the tokenizer.bin that belongs to them.

    Hugging Face: folders of llama architecture with config.json, safetensors, and tokenizer.json
    or tokenizer.model. Weights become F32: edgeprof models quantize makes other types.

    Example: edgeprof models import stories260K.bin --tokenizer tok512.bin -o stories260K.gguf

    Example: edgeprof models import ~/models/tiny-llama -o tiny-llama.gguf
    """
    imported = importing.import_model(path, tokenizer, out, name)
    for line in imported.notes:
        output.note(line)
    model = imported.model
    output.note(f"{out}: {model.name} {model.quantization}, {human_bytes(model.size_bytes)}")


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


def _facts(model: ModelFile) -> dict[str, Any]:
    shape = model.shape
    return {
        "name": model.name,
        "quantization": str(model.quantization),
        "size_bytes": model.size_bytes,
        "n_params": model.n_params,
        "sha256": model.sha256,
        "n_ctx_train": shape.n_ctx,
        "n_vocab": shape.n_vocab,
        "dim": shape.dim,
        "hidden": shape.hidden,
        "n_layers": shape.n_layers,
        "n_heads": shape.n_heads,
        "n_heads_kv": shape.n_heads_kv,
        "path": str(model.path),
    }
