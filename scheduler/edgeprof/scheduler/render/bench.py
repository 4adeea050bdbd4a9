"""Measured jobs as text: a table for people, Markdown, CSV, JSON or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from edgeprof.scheduler.render.rows import FIELDS, BenchRow, bench_rows
from edgeprof.scheduler.render.tables import new_table
from edgeprof.scheduler.render.words import human_bytes, human_count, human_s
from edgeprof.shared.results import JobView

EMULATED_NOTE = (
    "(emu): emulated, not silicon. QEMU's boards count instructions, native ones this host's time."
)

_HEADINGS = (
    "model", "size", "params", "platform", "board", "test",
    "t/s", "TTFT", "ITL p50/p95", "check",
)  # fmt: skip
#: Numbers are read down a column, so they end where their neighbours do.
_RIGHT = frozenset({"size", "params", "test", "t/s", "TTFT", "ITL p50/p95"})


class Format(StrEnum):
    """How to print measured jobs; the names are llama-bench's, and `table` for terminals."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


def rows_of(views: Iterable[JobView]) -> list[BenchRow]:
    """Return the rows of all jobs, in order."""
    return [row for view in views for row in bench_rows(view)]


def print_table(rows: Sequence[BenchRow], console: Console) -> None:
    """Print the table, whole: a terminal too narrow for it wraps the lines, as it would psql's."""
    shown = table(rows)
    unlimited = console.options.update(max_width=1000)
    # Console.print() takes no width beyond the console's own, so the console is widened.
    console.width = max(console.width, Measurement.get(console, unlimited, shown).maximum)
    console.print(shown, crop=False)


def table(rows: Sequence[BenchRow]) -> Table:
    """Return the table for a terminal."""
    shown = new_table(*_HEADINGS, right=_RIGHT)
    before = None
    for row in rows:
        if before is not None and row.job_id != before:
            shown.add_section()
        before = row.job_id
        shown.add_row(*_cells(row))
    return shown


def markdown(rows: Sequence[BenchRow]) -> str:
    """Return llama-bench's Markdown: padded, so that it reads as plain text too."""
    lines = [_HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADINGS))]
    right = [heading in _RIGHT for heading in _HEADINGS]

    def pad(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if is_right else cell.ljust(width)
            for cell, width, is_right in zip(cells, widths, right, strict=True)
        )
        return "| " + " | ".join(padded) + " |"

    rule = (
        "-" * (width + 1) + ":" if is_right else "-" * (width + 2)
        for width, is_right in zip(widths, right, strict=True)
    )
    text = [pad(_HEADINGS), "|" + "|".join(rule) + "|", *map(pad, lines[1:])]
    if any(row.emulated for row in rows):
        text += ["", EMULATED_NOTE]
    return "\n".join(text)


def csv_text(rows: Sequence[BenchRow]) -> str:
    """Return CSV with a heading line; samples are joined by spaces, absent values are empty."""
    out = io.StringIO()
    writer = csv.DictWriter(out, FIELDS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        samples = " ".join(map(str, row.samples_ts))
        writer.writerow(row.as_dict() | {"samples_ts": samples})
    return out.getvalue().rstrip("\n")


def text_of(rows: Sequence[BenchRow], output: Format) -> str:
    """Return rows in any format but `table`, which needs to know its terminal."""
    match output:
        case Format.CSV:
            return csv_text(rows)
        case Format.JSON:
            return json.dumps([row.as_dict() for row in rows], indent=2)
        case Format.JSONL:
            return "\n".join(json.dumps(row.as_dict()) for row in rows)
        case _:
            return markdown(rows)


def _cells(row: BenchRow) -> tuple[str, ...]:
    prefill = row.n_gen == 0
    latency = (
        "" if prefill or row.inter_token_p50_s is None or row.inter_token_p95_s is None
        else f"{human_s(row.inter_token_p50_s)}/{human_s(row.inter_token_p95_s)}"
    )  # fmt: skip
    check = (
        "not checked" if row.checked_tokens is None
        else f"{row.matched_tokens}/{row.checked_tokens}"
    )  # fmt: skip
    return (
        f"{row.model_filename} {row.model_type.split()[-1]}",
        human_bytes(row.model_size),
        human_count(row.model_n_params),
        row.backends + (" (emu)" if row.emulated else ""),
        row.device_id,
        row.test,
        f"{row.avg_ts:.2f} ± {row.stddev_ts:.2f}",
        human_s(row.ttft_s) if prefill else "",
        latency,
        check,
    )
