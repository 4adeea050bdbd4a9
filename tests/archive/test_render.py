"""Rows, formats and words: what people and scripts read is what was measured."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from edgeprof.scheduler.cli.results import parse_since
from edgeprof.scheduler.demo.report import as_json
from edgeprof.scheduler.lab import Request
from edgeprof.scheduler.render import bench
from edgeprof.scheduler.render.console import PlainConsole
from edgeprof.scheduler.render.report import job_report
from edgeprof.scheduler.render.words import ago, human_bytes, human_count, human_s
from edgeprof.scheduler.sweep import Refused
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.jobs import JobState, Quantization
from edgeprof.shared.results import JobView

MakeView = Callable[..., JobView]


def test_a_case_is_two_rows(make_view: MakeView) -> None:
    """Prefill and decode are rows of their own, named as llama-bench names them."""
    prefill, decode = bench.rows_of([make_view()])

    assert (prefill.test, prefill.n_prompt, prefill.n_gen, prefill.n_depth) == ("pp64", 64, 0, 0)
    assert (decode.test, decode.n_prompt, decode.n_gen, decode.n_depth) == ("tg32", 0, 32, 64)
    assert (decode.avg_ts, decode.stddev_ts, decode.samples_ts) == (101, 1, (100, 101, 102))


def test_jobs_without_a_result_have_no_rows(make_view: MakeView) -> None:
    """A failed job has no numbers, not zeros."""
    assert bench.rows_of([make_view(state=JobState.FAILED)]) == []


def test_markdown_is_llama_benchs(make_view: MakeView) -> None:
    """Columns, and speed as mean ± sd with two decimals; what is emulated says so."""
    text = bench.markdown(bench.rows_of([make_view()]))

    assert "| tiny Q8_0 | 257.81 KiB | 238.14 K | stm32f405 (emu) |" in text
    assert " 101.00 ± 1.00 |" in text
    assert "9.9 ms/10.5 ms" in text
    assert "32/32" in text
    assert bench.EMULATED_NOTE in text


def test_silicon_is_not_marked(make_view: MakeView) -> None:
    """Real boards carry no mark."""
    assert "emu" not in bench.markdown(bench.rows_of([make_view(platform="esp32s3")]))


def test_formats_carry_the_same_rows(make_view: MakeView) -> None:
    """CSV, JSON and JSON lines hold the same fields and values."""
    rows = bench.rows_of([make_view()])

    as_list = json.loads(bench.text_of(rows, bench.Format.JSON))
    lines = [json.loads(line) for line in bench.text_of(rows, bench.Format.JSONL).splitlines()]
    table = list(csv.DictReader(io.StringIO(bench.text_of(rows, bench.Format.CSV))))

    assert as_list == lines
    assert [row["test"] for row in table] == [row["test"] for row in as_list] == ["pp64", "tg32"]
    assert list(table[0]) == list(as_list[0])
    assert table[1]["samples_ts"] == "100.0 101.0 102.0"


@pytest.mark.parametrize("width", [60, 80, 200])
def test_narrow_terminals_lose_nothing(make_view: MakeView, width: int) -> None:
    """The table of numbers is never cut or folded, however narrow the terminal."""
    console = Console(width=width, record=True, file=io.StringIO())
    bench.print_table(bench.rows_of([make_view()]), console)

    text = console.export_text()
    assert "…" not in text
    assert "101.00 ± 1.00" in text


def test_text_from_a_model_is_not_markup(make_view: MakeView) -> None:
    """What a model wrote is shown as it is, square brackets and all."""
    console = PlainConsole(width=100, record=True, file=io.StringIO())
    console.print(job_report(make_view()))

    assert "[bold]To be" in console.export_text()


def test_trace_is_a_link_when_there_is_a_viewer(make_view: MakeView) -> None:
    """EDGEPROF_TRACE_UI makes of the trace id something to click on."""
    console = PlainConsole(width=120, record=True, file=io.StringIO())
    view = make_view()
    console.print(job_report(view, "http://jaeger:16686/"))

    assert f"http://jaeger:16686/trace/{view.trace_id}" in console.export_text()


def test_demo_json_has_the_documented_shape(make_view: MakeView) -> None:
    """The demo's JSON has exactly the fields that scripts were promised."""
    request = Request(model="tiny", quantization=Quantization.F32, platform="stm32f405")
    refusal = Refused(request, ModelError("does not fit: …"))
    views = [make_view(), make_view("job2", state=JobState.FAILED)]

    document = json.loads(json.dumps(as_json(views, [refusal])))

    assert document["refused"] == [
        {
            "model": "tiny",
            "quantization": "F32",
            "platform": "stm32f405",
            "reason": "does not fit: …",
        }
    ]
    good, failed = document["results"]
    assert good == {
        "job_id": "job1",
        "state": "succeeded",
        "model": "tiny",
        "quantization": "Q8_0",
        "platform": "stm32f405",
        "device_id": "stm32f405-1",
        "emulated": True,
        "prefill_tokens_per_second": {"mean": 210.0, "sd": 10.0, "samples": [200.0, 210.0, 220.0]},
        "decode_tokens_per_second": {"mean": 101.0, "sd": 1.0, "samples": [100.0, 101.0, 102.0]},
        "ttft_s": pytest.approx(0.31),
        "output_check": {"matched": 32, "of": 32},
        "attempts": 1,
        "trace_id": "f" * 32,
    }
    assert failed.keys() == good.keys()
    assert failed["decode_tokens_per_second"] is None


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (human_bytes(512), "512 B"),
        (human_bytes(969_024), "946.31 KiB"),
        (human_count(238_144), "238.14 K"),
        (human_count(1_280_000), "1.28 M"),
        (human_s(0.000_412), "412 us"),
        (human_s(0.0381), "38.1 ms"),
        (human_s(12.5), "12.5 s"),
        (ago(30), "30 s ago"),
        (ago(7200), "2 h ago"),
    ],
)
def test_words(shown: str, expected: str) -> None:
    """Numbers carry their unit and the digits that matter."""
    assert shown == expected


def test_since() -> None:
    """--since takes an age or a date, and nothing else."""
    now_s = time.time()

    assert parse_since("12h", now_s) == now_s - 12 * 3600
    assert parse_since("1970-01-02", now_s) == 86400
    with pytest.raises(UsageError, match="neither an age nor a date"):
        parse_since("yesterday", now_s)
