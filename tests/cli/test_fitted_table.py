"""Tables of any content on terminals of any width."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.shared.errors import UsageError

CELLS = st.text(st.characters(categories=["L", "N"], max_codepoint=0x24F), min_size=1, max_size=24)


@st.composite
def sheets(draw: st.DrawFn) -> Sheet:
    """A table with up to eight columns; some may be left out."""
    ranks = draw(st.lists(st.none() | st.integers(0, 9), min_size=1, max_size=8))
    sheet = Sheet([Column(f"c{n}", leave=rank) for n, rank in enumerate(ranks)])
    for _ in range(draw(st.integers(1, 3))):
        sheet.add(*(draw(CELLS) for _ in ranks))
    return sheet


@given(sheets(), st.integers(10, 120))
def test_no_cell_is_cut(sheet: Sheet, width: int) -> None:
    """A fitted table shows whole cells, and is wider than its terminal only if it must be."""
    console = Console(width=width, record=True, file=io.StringIO())
    fitted = sheet.fitted(console)
    console.width = max(width, fitted.least(console))
    console.print(fitted.table(), crop=False)
    shown = console.export_text()

    kept = [sheet.columns.index(column) for column in fitted.columns]
    assert all(str(row[index]) in shown for row in sheet.rows for index in kept)
    if any(column.leave is not None for column in fitted.columns):
        assert fitted.least(console) <= width


@given(sheets(), st.integers(10, 120))
def test_columns_are_left_out_in_order(sheet: Sheet, width: int) -> None:
    """Whatever is kept ranks no lower than whatever is left out."""
    fitted = sheet.fitted(Console(width=width))
    left_out = [column.leave for column in sheet.columns if column not in fitted.columns]

    assert None not in left_out
    kept = [column.leave for column in fitted.columns if column.leave is not None]
    assert max((rank for rank in left_out if rank is not None), default=0) <= min(kept, default=9)


def test_columns_are_chosen_by_name() -> None:
    """In the order asked for; an unknown one is an error that lists the known."""
    sheet = Sheet([Column("model"), Column("t/s", right=True)])
    sheet.add("tiny", "1.00")

    assert [column.heading for column in sheet.only(["t/s", "model"]).columns] == ["t/s", "model"]
    with pytest.raises(UsageError, match="no column 'speed'") as caught:
        sheet.only(["speed"])
    assert "model, t/s" in str(caught.value.hint)
