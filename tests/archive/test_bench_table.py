"""The table of measured jobs: what it shows, leaves out and points out."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from edgeprof.cli.render import llama_bench_table
from edgeprof.client.humanize import (
    BYTES,
    COUNTS,
    SECONDS,
    unit_of,
)
from edgeprof.shared.types.result import JobView, OutputCheck, Samples

MakeView = Callable[..., JobView]


@pytest.mark.parametrize("width", [20, 60, 80, 200])
def test_narrow_terminals_cut_no_number(make_view: MakeView, width: int) -> None:
    """Columns are left out, lowest rank first; model, test and speed stay, whole."""
    console = Console(width=width, record=True, file=io.StringIO())
    shown = llama_bench_table.sheet(llama_bench_table.rows_of([make_view()])).fitted(console)
    console.width = max(width, shown.least(console))
    console.print(shown.table(), crop=False)

    text = console.export_text()
    assert "…" not in text
    assert "101.00 ± 1.00" in text
    assert "tg32 @ d64" in text


def speeds(view: JobView, *samples: float) -> JobView:
    """Return the job with these decode speeds."""
    assert view.result is not None
    case = view.result.cases[0].model_copy(update={"decode_tokens_per_second": Samples.of(samples)})
    return view.model_copy(update={"result": view.result.model_copy(update={"cases": (case,)})})


def test_spread_is_pointed_out(make_view: MakeView) -> None:
    """Runs that differ by more than 5 % are marked, with a line that says what it means."""
    rows = llama_bench_table.rows_of([speeds(make_view(), 100, 101, 140)])

    text = llama_bench_table.markdown(rows)
    assert "113.67 ± 22.81 !" in text
    assert "differ by more than 5% (up to 20%)" in text
    assert "!" not in llama_bench_table.markdown(
        llama_bench_table.rows_of([speeds(make_view(), 100, 101, 102)])
    )


def test_one_run_has_no_deviation(make_view: MakeView) -> None:
    """One sample says nothing about spread: there is no ± 0.00."""
    text = llama_bench_table.markdown(llama_bench_table.rows_of([speeds(make_view(), 100.0)]))

    assert " 100.00 |" in text


def test_a_column_has_one_unit(make_view: MakeView) -> None:
    """Numbers below each other compare without a look at their units."""
    assert unit_of(BYTES, [96 * 1024, 5 * 1024**2])(5 * 1024**2) == "5120 KiB"
    assert unit_of(SECONDS, [0.0042, 2.5])(0.0042) == "4.2 ms"
    assert unit_of(SECONDS, [])(0.0) == "0 us"
    assert unit_of(COUNTS, [238_144])(238_144) == "238.14 K"


def test_wrong_output_is_named(make_view: MakeView) -> None:
    """Also where the column of the checks is left out."""
    view = make_view()
    assert view.result is not None
    check = OutputCheck(matched=3, of=32, first_difference=3, expected_token=1, got_token=2)
    case = view.result.cases[0].model_copy(update={"output_check": check})
    wrong = view.model_copy(update={"result": view.result.model_copy(update={"cases": (case,)})})

    (note,) = (
        n for n in llama_bench_table.notes(llama_bench_table.rows_of([wrong])) if "differs" in n
    )
    assert "tiny Q8_0 on stm32f405-1: 3 of 32 tokens" in note
