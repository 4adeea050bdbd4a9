"""The command `edgeprof results`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.llama_bench_table import Format
from edgeprof.cli.render.order import Order, ordered
from edgeprof.cli.tags import parse_tag
from edgeprof.client.llama_bench import BenchRow
from edgeprof.client.moments import parse_moment
from edgeprof.scheduler.archive import Archive, Query
from edgeprof.shared.settings import load_settings
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization


# Long because Typer reads the options from the signature.
def results(
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this model, as the table names it.")
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM", autocompletion=completion.platforms, help="Only this platform."
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(metavar="BOARD", autocompletion=completion.boards, help="Only this board."),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(case_sensitive=False, metavar="TYPE", help="Only this weight type."),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="ID", help="Only jobs of this sweep.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only jobs of this user.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Only jobs with this tag; repeatable."),
    ] = None,
    firmware: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="Only firmware whose git hash begins so."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="Only newer ones: 30m, 12h, 7d, 2w, or a date 2026-11-23."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many jobs.")] = 1000,
    sort: Annotated[
        Order,
        typer.Option(
            metavar="ORDER",
            help="time (newest first), decode or prefill (fastest first), ttft, perplexity or size"
            " (least first).",
        ),
    ] = Order.TIME,
    wide: output.Wide = False,
    columns: output.Columns = None,
    output_format: Annotated[
        Format,
        typer.Option(
            "--format", metavar="FORMAT", help="table, or as llama-bench: md, csv, json, jsonl."
        ),
    ] = Format.TABLE,
    json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """Print measured jobs in the manner of llama-bench, newest first.

    Example: edgeprof results --platform stm32f405 --since 7d --format csv > results.csv
    """
    settings = load_settings()
    query = Query(
        model=model,
        platform=platform,
        quantization=quantization,
        sweep_id=sweep,
        device_id=board,
        user=user,
        tags=dict(map(parse_tag, tag or ())),
        firmware=firmware,
        since_s=None if since is None else parse_moment(since, time.time()),
        state=JobState.SUCCEEDED,
        limit=limit,
    )
    with Archive.open(settings) as archive:
        rows = llama_bench_table.rows_of(ordered(archive.find(query), sort))
        if not rows:
            output.note(
                f"no results match in {archive.url};"
                " finished jobs get there by `edgeprof scheduler`"
            )
    print_rows(rows, Format.JSON if json else output_format, wide=wide, columns=columns)


def print_rows(
    rows: list[BenchRow],
    output_format: Format,
    *,
    wide: bool = False,
    columns: str | None = None,
) -> None:
    """Print rows on stdout. Without rows, the heading or the brackets of a format remain."""
    if output_format is not Format.TABLE:
        if text := llama_bench_table.text_of(rows, output_format):
            output.data(text)
    elif rows:
        output.show_sheet(llama_bench_table.sheet(rows), wide=wide, columns=columns)
        for note in llama_bench_table.notes(rows):
            output.note(note)
