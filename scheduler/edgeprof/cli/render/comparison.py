"""A comparison as a table for people."""

from __future__ import annotations

from rich.text import Text

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.compared import (
    Compared,
    boards_of,
    interval_of,
    named_of,
    test_of,
    value_of,
    verdict_of,
)
from edgeprof.client.comparison import Verdict
from edgeprof.client.model_names import ModelNames

_STYLE = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.UNKNOWN: "yellow"}
_COLUMNS = (
    Column("model"),
    Column("platform", leave=5),
    Column("measure"),
    Column("context", leave=1, right=True),
    Column("cache", leave=0),
    Column("old", leave=6, right=True),
    Column("new", leave=7, right=True),
    Column("ratio", leave=4, right=True),
    Column("change", right=True),
    Column("runs", leave=2, right=True),
    Column("boards", leave=3),
    Column("verdict"),
)


def sheet(compared: Compared) -> Sheet:
    """Return the table."""
    rows = compared.shown()
    names = ModelNames.of(named_of(row.key) for row in rows)
    table = Sheet(_COLUMNS)
    for row in rows:
        key = row.key
        table.add(
            f"{names.name(named_of(key))} {key.made_as}",
            key.platform,
            test_of(row),
            str(key.n_ctx),
            key.kv_type,
            value_of(row, row.old),
            value_of(row, row.new),
            f"{row.ratio:.3f}",
            interval_of(row),
            f"{row.old.n_runs}+{row.new.n_runs}",
            boards_of(row),
            Text(verdict_of(row), style=_STYLE.get(row.verdict, "")),
        )
    return table


def cells(compared: Compared) -> list[tuple[str, ...]]:
    """Return headings and rows as text."""
    table = sheet(compared)
    heading = tuple(column.heading for column in table.columns)
    return [heading, *(tuple(str(cell) for cell in row) for row in table.rows)]
