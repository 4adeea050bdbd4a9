"""Rows of different models are told apart, and say where their weights come from."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.report import job_report
from edgeprof.cli.render.tables import jobs_sheet
from edgeprof.client.console import PlainConsole
from edgeprof.client.csv_rows import csv_text
from edgeprof.shared.types.model import ModelSource
from edgeprof.shared.types.result import JobView

MakeView = Callable[..., JobView]


def of_model(view: JobView, sha256: str, *chain: str) -> JobView:
    """The same job, of a model with another content."""
    source = ModelSource(file="tiny.gguf", sha256="5" * 64, chain=chain) if chain else None
    return view.model_copy(
        update={"model": view.model.model_copy(update={"sha256": sha256, "source": source})}
    )


def shown(*parts: Any) -> str:
    """What a wide terminal shows."""
    console = PlainConsole(record=True, width=200, file=io.StringIO())
    for part in parts:
        console.print(part)
    return console.export_text()


@pytest.fixture
def namesakes(make_view: MakeView) -> list[JobView]:
    """Three jobs: two of one model, and one of another model of that name and type."""
    one, other = "1a2b3c4d" + "0" * 56, "9f" * 32
    contents = {"job1": one, "job2": other, "job3": one}
    return [of_model(make_view(job), sha256, "Q8_0") for job, sha256 in contents.items()]


def test_models_of_one_name_and_type_show_their_hash(namesakes: list[JobView]) -> None:
    """Two files of one name are two models: in the table of jobs, of results, and in Markdown."""
    rows = llama_bench_table.rows_of(namesakes)

    for text in (
        shown(jobs_sheet(namesakes, [], 0).table()),
        shown(llama_bench_table.sheet(rows).table()),
        llama_bench_table.markdown(rows),
    ):
        assert "tiny@1a2b3c4d" in text
        assert "tiny@9f9f9f9f" in text


def test_one_model_needs_no_hash(namesakes: list[JobView]) -> None:
    """Repetitions of one model, and its other types, are called by the plain name."""
    same = [namesakes[0], namesakes[2], of_model(namesakes[1], "9f" * 32, "Q4_0", "Q8_0")]
    rows = llama_bench_table.rows_of(same)

    text = shown(jobs_sheet(same, [], 0).table(), llama_bench_table.sheet(rows).table())
    assert "@" not in text.replace(" @ d", "")  # the depth of a test


def test_what_was_made_of_a_lossy_type_says_so(make_view: MakeView) -> None:
    """Q8_0 made of Q4_0 has the errors of Q4_0, so a table of results does not call it Q8_0
    alone."""
    view = of_model(make_view(), "9f" * 32, "F32", "Q4_0", "Q8_0")

    for text in (
        llama_bench_table.markdown(llama_bench_table.rows_of([view])),
        shown(jobs_sheet([view], [], 0).table()),
        shown(job_report(view)),
    ):
        assert "Q4_0>Q8_0" in text


def test_exports_hold_the_source(make_view: MakeView) -> None:
    """File, hash and each type since; null where an old record does not say. Names stay plain."""
    said, unsaid = of_model(make_view(), "9f" * 32, "F32", "Q8_0"), of_model(make_view(), "1a" * 32)
    rows = llama_bench_table.rows_of([said, unsaid])

    as_json = json.loads(llama_bench_table.text_of(rows, llama_bench_table.Format.JSON))
    as_csv = [*csv.DictReader(io.StringIO(csv_text(rows)))]

    keys = ("model_source_file", "model_source_sha256", "model_source_chain")
    assert [as_json[0][key] for key in keys] == ["tiny.gguf", "5" * 64, ["F32", "Q8_0"]]
    assert [as_json[2][key] for key in keys] == [None, None, None]
    assert [as_csv[0][key] for key in keys] == ["tiny.gguf", "5" * 64, "F32 Q8_0"]
    assert {row["model_filename"] for row in as_json} == {"tiny"}


@pytest.mark.parametrize("prompt", ["a\rb", "a\r\nb", "a\nb", 'a "b", c'])
def test_csv_holds_any_prompt(make_view: MakeView, prompt: str) -> None:
    """Ends of lines of whatever kind, quotes and commas are a part of the value, and end no row."""
    view = make_view()
    assert view.inputs is not None
    (case,) = view.inputs.cases
    cases = (case.model_copy(update={"prompt_text": prompt}),)
    asked = view.model_copy(update={"inputs": view.inputs.model_copy(update={"cases": cases})})

    text = csv_text(llama_bench_table.rows_of([asked]))

    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert [row["prompt_text"] for row in rows] == [prompt, prompt]
    assert "\r\n" not in text or "\r\n" in prompt


@pytest.mark.parametrize(
    ("trouble", "says"),
    [
        ({"clock_trouble": "its clock ran backwards"}, "its clock ran backwards"),
        ({"energy_trouble": "INA219 told too little"}, "none: INA219 told too little"),
    ],
)
def test_a_job_says_what_is_missing(
    make_view: MakeView, trouble: dict[str, str], says: str
) -> None:
    """Spans or energy that are absent are absent with the reason."""
    view = make_view()
    assert view.result is not None
    troubled = view.model_copy(update={"result": view.result.model_copy(update=trouble)})

    assert says in shown(job_report(troubled))
    assert says not in shown(job_report(view))
