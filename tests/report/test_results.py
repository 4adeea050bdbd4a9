"""`Lab.results`: what was measured as typed rows; the same in pandas, Arrow, CSV and Parquet."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet
import pytest

from edgeprof.client import Lab, Results
from edgeprof.client.csv_rows import csv_text
from edgeprof.client.llama_bench import BenchRow
from edgeprof.scheduler.archive import Archive
from edgeprof.shared.errors import InfrastructureError, NotFound
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.job import JobState
from tests.support.finished_job import finished_job
from tests.support.reports import several

NOTEBOOK = Path(__file__).parents[2] / "docs" / "tutorial" / "results.ipynb"


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    """A lab with four measured jobs of a sweep, and one that failed."""
    measured = [view.model_copy(update={"sweep_id": "night-1"}) for view in several()]
    with Archive.open(settings) as archive:
        archive.save([*measured, finished_job("bad", state=JobState.FAILED, sweep_id="night-1")])
    with Lab(settings=settings) as opened:
        yield opened


def test_results_are_rows(lab: Lab) -> None:
    """A sequence of BenchRow, two a job here; jobs without a result have none."""
    rows = lab.results()

    assert len(rows) == 8
    assert len(rows.jobs) == 4
    assert all(isinstance(row, BenchRow) for row in rows)
    assert (rows[0].test, rows[1].test) == ("pp64", "tg32")
    assert repr(rows) == "<Results: 4 job(s), 8 rows>"


def test_results_are_selected_and_narrowed(lab: Lab) -> None:
    """By the words of the command line, by filters, and by both; a word that names nothing is an
    error, a filter that leaves nothing is an empty result."""
    assert len(lab.results("night-1").jobs) == 4
    assert len(lab.results("emu1", "night-1").jobs) == 4
    assert [view.id for view in lab.results("night-1", platform="stm32f405").jobs] == ["emu1"]
    assert len(lab.results(quantization="Q8_0").jobs) == 2
    assert len(lab.results(board="esp32s3-1", tags={"shelf": "2"}, limit=2).jobs) == 2
    assert len(lab.results("night-1", limit=1).jobs) == 1
    assert len(lab.results(user="nobody")) == 0
    with pytest.raises(NotFound, match="nosuch"):
        lab.results("nosuch")


def test_pandas_and_arrow_have_every_field(lab: Lab) -> None:
    """The same values; what was not measured is null; without rows the columns stay."""
    rows = lab.results(platform="esp32s3")
    frame, table = rows.to_pandas(), rows.to_arrow()

    assert list(frame.columns) == table.column_names
    assert frame["avg_ts"].tolist() == table["avg_ts"].to_pylist() == [row.avg_ts for row in rows]
    assert table["samples_ts"].to_pylist() == [list(row.samples_ts) for row in rows]
    assert table["tags"].to_pylist() == [[("shelf", "2")]] * len(rows)
    assert table["trace_id"].null_count == 0
    assert table["model_source_file"].null_count == len(rows)
    assert frame["model_source_file"].isna().all()
    nothing = lab.results(user="nobody")
    assert nothing.to_arrow().schema == table.schema
    assert list(nothing.to_pandas().columns) == list(frame.columns)


def test_files_hold_what_the_rows_hold(lab: Lab, tmp_path: Path) -> None:
    """Parquet keeps types and lists; CSV is the one of `edgeprof results --format csv`."""
    rows = lab.results()
    rows.to_parquet(tmp_path / "r.parquet")
    rows.to_csv(tmp_path / "r.csv")

    read = pyarrow.parquet.read_table(tmp_path / "r.parquet")
    assert read.equals(rows.to_arrow())
    assert pd.read_parquet(tmp_path / "r.parquet")["n_gen"].tolist() == [row.n_gen for row in rows]
    assert (tmp_path / "r.csv").read_text() == csv_text(rows) + "\n"
    with (tmp_path / "r.csv").open() as file:
        assert [float(line["avg_ts"]) for line in csv.DictReader(file)] == [
            row.avg_ts for row in rows
        ]


def test_what_is_not_installed_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows need neither pandas nor pyarrow; their tables do, and the error says how to get them."""
    rows = lab.results()
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert rows[0].avg_ts
    for table in (rows.to_pandas, rows.to_arrow):
        with pytest.raises(InfrastructureError, match="is not installed") as caught:
            table()
        assert caught.value.hint == "pip install 'tiny-llm-edge-profiler[data]'"


def test_the_notebook_runs(lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every cell of docs/tutorial/results.ipynb works, and is kept without its output."""
    with warnings.catch_warnings():  # of its libraries, none of which is ours
        warnings.simplefilter("ignore")
        import nbformat
        from nbclient import NotebookClient

        notebook: Any = nbformat.read(NOTEBOOK, as_version=4)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        for name, value in lab.settings.as_environment().items():
            monkeypatch.setenv(name, value)
        for folder in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
            (tmp_path / folder).mkdir()
            monkeypatch.setenv(folder, str(tmp_path / folder))
        NotebookClient(notebook, timeout=120, kernel_name="python3").execute()

    shown = str([cell.get("outputs") for cell in notebook.cells])
    assert "<Results: 4 job(s), 8 rows>" in shown
    assert "100.1" in shown
    assert "results.parquet" in shown


def test_the_api_has_a_name_for_it() -> None:
    """`from edgeprof.client import Results` is the type that Lab.results returns."""
    assert Results([]).jobs == ()
