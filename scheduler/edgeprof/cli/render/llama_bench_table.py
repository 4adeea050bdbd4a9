"""Measured jobs as text: a table for people, Markdown, CSV, JSON or JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.csv_rows import csv_text
from edgeprof.client.humanize import BYTES, COUNTS, SECONDS, unit_of
from edgeprof.client.llama_bench import BenchRow, bench_rows
from edgeprof.client.model_names import ModelNames, Named
from edgeprof.client.trust import UNSTABLE
from edgeprof.shared.types.result import JobView

EMULATED_NOTE = (
    "(emu): emulated, not silicon. Emulated chips count instructions or cycles, native boards this"
    " host's time."
)

#: Left out for want of room, lowest first: what a terminal of 80 columns shows is model, board's
#: platform, test, speed and check.
_COLUMNS = (
    Column("model"),
    Column("size", leave=1, right=True),
    Column("params", leave=0, right=True),
    Column("platform", leave=6),
    Column("board", leave=3),
    Column("test", right=True),
    Column("t/s", right=True),
    Column("TTFT", leave=5, right=True),
    Column("ITL p50/p95", leave=2, right=True),
    Column("perplexity", leave=7, right=True),
    Column("check", leave=4),
)
#: A column only where a job was scored.
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


def sheet(rows: Sequence[BenchRow]) -> Sheet:
    """Return the table for a terminal."""
    shown = Sheet(_columns(rows))
    before = None
    for row, cells in zip(rows, _lines(rows), strict=True):
        if before is not None and row.job_id != before:
            shown.add_section()
        before = row.job_id
        shown.add(*cells)
    return shown


def _scored(rows: Sequence[BenchRow]) -> bool:
    return any(row.perplexity is not None for row in rows)


def _columns(rows: Sequence[BenchRow]) -> tuple[Column, ...]:
    scored = _scored(rows)
    return tuple(column for column in _COLUMNS if scored or column.heading != _PERPLEXITY)


def score_note(rows: Sequence[BenchRow]) -> str | None:
    """Return a line that names the texts of the perplexities: only those of one text compare."""
    texts = {
        f"{row.score_tokens} tokens of {row.score_text}"
        + (f" in windows of {row.score_window}" if row.score_window else "")
        + (f", stride {row.score_stride}" if row.score_stride else "")
        for row in rows
        if row.perplexity is not None
    }
    return (
        f"perplexity ± its standard error: over {'; over '.join(sorted(texts))}" if texts else None
    )


def markdown(rows: Sequence[BenchRow]) -> str:
    """Return llama-bench's Markdown, padded so that it can be read as plain text."""
    columns = _columns(rows)
    headings = tuple(column.heading for column in columns)
    lines = [headings, *_lines(rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    right = [column.right for column in columns]

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


def notes(rows: Sequence[BenchRow]) -> list[str]:
    """Return the notes below a table of these rows."""
    emulated = EMULATED_NOTE if any(row.emulated for row in rows) else None
    found = (emulated, _wrong_note(rows), _unstable_note(rows), score_note(rows))
    return [note for note in found if note]


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
    """Return the cells. Each column has one unit, so that its numbers compare at a glance."""
    names = ModelNames.of(map(_named, rows))
    size, ttft, gap = (
        unit_of(BYTES, [row.model_size for row in rows]),
        unit_of(SECONDS, [row.ttft_s for row in rows if row.n_gen == 0]),
        unit_of(SECONDS, [row.inter_token_p50_s for row in rows if row.n_gen > 0]),
    )
    params = unit_of(COUNTS, [row.model_n_params for row in rows])
    lines = []
    for row in rows:
        prefill = row.n_gen == 0
        latency = (
            "" if prefill or row.inter_token_p50_s is None or row.inter_token_p95_s is None
            else f"{gap.number(row.inter_token_p50_s)}/{gap(row.inter_token_p95_s)}"
        )  # fmt: skip
        check = (
            "not checked" if row.checked_tokens is None
            else f"{row.matched_tokens}/{row.checked_tokens}"
        )  # fmt: skip
        perplexity = [_perplexity(row)] if _scored(rows) else []
        lines.append(
            (
                f"{names.name(_named(row))} {row.made_as}",
                "" if row.model_size is None else size(row.model_size),
                params(row.model_n_params),
                row.backends + (" (emu)" if row.emulated else ""),
                row.device_id,
                row.test + (f" @ d{row.n_depth}" if row.n_depth else ""),
                _speed(row),
                ttft(row.ttft_s) if prefill else "",
                latency,
                *perplexity,
                check,
            )
        )
    return lines


def _speed(row: BenchRow) -> str:
    """Return the mean and its sample deviation, which a single run has not."""
    if len(row.samples_ts) < 2:
        return f"{row.avg_ts:.2f}"
    return f"{row.avg_ts:.2f} ± {row.stddev_ts:.2f}" + (" !" if _unstable(row) else "")


def _unstable(row: BenchRow) -> bool:
    return row.stddev_ts > UNSTABLE * row.avg_ts


def _wrong_note(rows: Sequence[BenchRow]) -> str | None:
    """Return a line for tokens that differ from the reference, also where their column is not."""
    wrong = {
        f"{row.model_filename} {row.made_as} on {row.device_id}: {row.matched_tokens} of"
        f" {row.checked_tokens} tokens"
        for row in rows
        if row.checked_tokens is not None and row.matched_tokens != row.checked_tokens
    }
    return (
        f"check: output differs from the reference: {'; '.join(sorted(wrong))}" if wrong else None
    )


def _unstable_note(rows: Sequence[BenchRow]) -> str | None:
    worst = max((row.stddev_ts / row.avg_ts for row in rows if _unstable(row)), default=None)
    if worst is None:
        return None
    return (
        f"! runs of one test differ by more than {UNSTABLE:.0%} (up to {worst:.0%}): such a speed"
        " is no basis for a comparison. Is the board's host busy? More repetitions (-r) help"
    )


def _named(row: BenchRow) -> Named:
    return Named(row.model_filename, row.made_as, row.model_sha256)


def _perplexity(row: BenchRow) -> str:
    """Return the perplexity in the job's first row only: it belongs to the job, not to a test."""
    if row.perplexity is None or row.n_gen > 0:
        return ""
    error = "" if row.perplexity_stderr is None else f" ± {row.perplexity_stderr:.2f}"
    return f"{row.perplexity:.2f}{error}"
