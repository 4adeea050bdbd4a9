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

from edgeprof.cli.render.humanize import human_bytes, human_count, human_s
from edgeprof.cli.render.model_names import ModelNames, Named
from edgeprof.cli.render.tables import new_table
from edgeprof.client.llama_bench import FIELDS, BenchRow, bench_rows
from edgeprof.shared.types.result import JobView

EMULATED_NOTE = (
    "(emu): emulated, not silicon. QEMU's boards count instructions, native ones this host's time."
)

_HEADINGS = (
    "model", "size", "params", "platform", "board", "test",
    "t/s", "TTFT", "ITL p50/p95", "check",
)  # fmt: skip
#: Columns of numbers are aligned right, so that their digits stand below each other.
_RIGHT = frozenset({"size", "params", "test", "t/s", "TTFT", "ITL p50/p95", "perplexity"})
_CRLF = "\r\n"
#: This column stands before the last one, when any job was scored.
_PERPLEXITY = "perplexity"


class Format(StrEnum):
    """How to print measured jobs: llama-bench's formats, and `table` for terminals."""

    TABLE = "table"
    MD = "md"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"


def rows_of(views: Iterable[JobView]) -> list[BenchRow]:
    """Return the rows of all jobs, in order."""
    return [row for view in views for row in bench_rows(view)]


def print_table(rows: Sequence[BenchRow], console: Console) -> None:
    """Print the whole table. A narrow terminal wraps its lines, as it wraps psql's."""
    shown = table(rows)
    unlimited = console.options.update(max_width=1000)
    # Console.print() takes no width beyond the console's own, so the console is widened.
    console.width = max(console.width, Measurement.get(console, unlimited, shown).maximum)
    console.print(shown, crop=False)


def table(rows: Sequence[BenchRow]) -> Table:
    """Return the table for a terminal."""
    shown = new_table(*_headings(rows), right=_RIGHT)
    before = None
    for row, cells in zip(rows, _lines(rows), strict=True):
        if before is not None and row.job_id != before:
            shown.add_section()
        before = row.job_id
        shown.add_row(*cells)
    return shown


def _scored(rows: Sequence[BenchRow]) -> bool:
    return any(row.perplexity is not None for row in rows)


def _headings(rows: Sequence[BenchRow]) -> tuple[str, ...]:
    return (*_HEADINGS[:-1], _PERPLEXITY, _HEADINGS[-1]) if _scored(rows) else _HEADINGS


def score_note(rows: Sequence[BenchRow]) -> str | None:
    """Return a line that names the texts of the perplexities: only those of one text compare."""
    texts = {
        f"{row.score_tokens} tokens of {row.score_text}"
        + (f" in windows of {row.score_window}" if row.score_window else "")
        for row in rows
        if row.perplexity is not None
    }
    return (
        f"perplexity ± its standard error: over {'; over '.join(sorted(texts))}" if texts else None
    )


def markdown(rows: Sequence[BenchRow]) -> str:
    """Return llama-bench's Markdown, padded so that it can be read as plain text."""
    headings = _headings(rows)
    lines = [headings, *_lines(rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    right = [heading in _RIGHT for heading in headings]

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
    text = [pad(headings), "|" + "|".join(rule) + "|", *map(pad, lines[1:])]
    for note in notes(rows):
        text += ["", note]
    return "\n".join(text)


def csv_text(rows: Sequence[BenchRow]) -> str:
    """Return CSV with a heading. Lists are joined by spaces, tags are JSON, absent values empty."""
    lines = [FIELDS, *(map(_csv_value, row.as_dict().values()) for row in rows)]
    return "\n".join(map(_csv_line, lines))


def _csv_line(values: Iterable[object]) -> str:
    """Return one line. A value with a carriage return is quoted only where lines end with one."""
    out = io.StringIO()
    csv.writer(out, lineterminator=_CRLF).writerow(values)
    return out.getvalue().removesuffix(_CRLF)


def _csv_value(value: object) -> object:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value


def notes(rows: Sequence[BenchRow]) -> list[str]:
    """Return the notes below a table of these rows."""
    found = [EMULATED_NOTE] if any(row.emulated for row in rows) else []
    scored = score_note(rows)
    return [*found, scored] if scored else found


def text_of(rows: Sequence[BenchRow], output: Format) -> str:
    """Return rows in any format but `table`, which depends on the terminal."""
    match output:
        case Format.CSV:
            return csv_text(rows)
        case Format.JSON:
            return json.dumps([row.as_dict() for row in rows], indent=2)
        case Format.JSONL:
            return "\n".join(json.dumps(row.as_dict()) for row in rows)
        case _:
            return markdown(rows)


def _lines(rows: Sequence[BenchRow]) -> list[tuple[str, ...]]:
    names, scored = ModelNames.of(map(_named, rows)), _scored(rows)
    return [_cells(row, names.name(_named(row)), scored=scored) for row in rows]


def _named(row: BenchRow) -> Named:
    return Named(row.model_filename, row.made_as, row.model_sha256)


def _cells(row: BenchRow, name: str, *, scored: bool) -> tuple[str, ...]:
    prefill = row.n_gen == 0
    latency = (
        "" if prefill or row.inter_token_p50_s is None or row.inter_token_p95_s is None
        else f"{human_s(row.inter_token_p50_s)}/{human_s(row.inter_token_p95_s)}"
    )  # fmt: skip
    check = (
        "not checked" if row.checked_tokens is None
        else f"{row.matched_tokens}/{row.checked_tokens}"
    )  # fmt: skip
    perplexity = [_perplexity(row)] if scored else []
    return (
        f"{name} {row.made_as}",
        "" if row.model_size is None else human_bytes(row.model_size),
        human_count(row.model_n_params),
        row.backends + (" (emu)" if row.emulated else ""),
        row.device_id,
        row.test,
        f"{row.avg_ts:.2f} ± {row.stddev_ts:.2f}",
        human_s(row.ttft_s) if prefill else "",
        latency,
        *perplexity,
        check,
    )


def _perplexity(row: BenchRow) -> str:
    """Return the perplexity in the job's first row only: it belongs to the job, not to a test."""
    if row.perplexity is None or row.n_gen > 0:
        return ""
    error = "" if row.perplexity_stderr is None else f" ± {row.perplexity_stderr:.2f}"
    return f"{row.perplexity:.2f}{error}"
