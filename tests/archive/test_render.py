"""Rows, formats and words: what people and scripts read is what was measured.

It is long because it is a list: a format, or a number in one, a test.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable

import pytest

from edgeprof.cli.demo.report import as_json
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.report import job_report
from edgeprof.client.console import PlainConsole
from edgeprof.client.csv_rows import csv_text
from edgeprof.client.humanize import (
    ago,
    human_bytes,
    human_count,
    human_s,
)
from edgeprof.client.moments import parse_moment
from edgeprof.client.request import Request
from edgeprof.client.sweep import Refused
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.types.job import SCHEMA_VERSION, JobState
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView, ScoreResult
from tests.support.finished_job import INPUTS

MakeView = Callable[..., JobView]


def test_a_case_is_two_rows(make_view: MakeView) -> None:
    """Prefill and decode are rows of their own, named as llama-bench names them."""
    prefill, decode = llama_bench_table.rows_of([make_view()])

    assert (prefill.test, prefill.n_prompt, prefill.n_gen, prefill.n_depth) == ("pp64", 64, 0, 0)
    assert (decode.test, decode.n_prompt, decode.n_gen, decode.n_depth) == ("tg32", 0, 32, 64)
    assert (decode.avg_ts, decode.stddev_ts, decode.samples_ts) == (101, 1, (100, 101, 102))


def test_jobs_without_a_result_have_no_rows(make_view: MakeView) -> None:
    """A failed job has no numbers, not zeros."""
    assert llama_bench_table.rows_of([make_view(state=JobState.FAILED)]) == []


def test_markdown_is_llama_benchs(make_view: MakeView) -> None:
    """Columns, and speed as mean ± sd with two decimals; what is emulated says so."""
    text = llama_bench_table.markdown(llama_bench_table.rows_of([make_view()]))

    assert "| tiny Q8_0 | 253.91 KiB | 238.14 K | stm32f405 (emu) |" in text
    assert " 101.00 ± 1.00 |" in text
    assert "9.90/10.50 ms" in text
    assert "32/32" in text
    assert llama_bench_table.EMULATED_NOTE in text


def test_silicon_is_not_marked(make_view: MakeView) -> None:
    """Real boards carry no mark."""
    assert "emu" not in llama_bench_table.markdown(
        llama_bench_table.rows_of([make_view(platform="esp32s3")])
    )


def test_formats_carry_the_same_rows(make_view: MakeView) -> None:
    """CSV, JSON and JSON lines hold the same fields and values."""
    rows = llama_bench_table.rows_of([make_view()])

    as_list = json.loads(llama_bench_table.text_of(rows, llama_bench_table.Format.JSON))
    lines = [
        json.loads(line)
        for line in llama_bench_table.text_of(rows, llama_bench_table.Format.JSONL).splitlines()
    ]
    table = list(
        csv.DictReader(io.StringIO(llama_bench_table.text_of(rows, llama_bench_table.Format.CSV)))
    )

    assert as_list == lines
    assert [row["test"] for row in table] == [row["test"] for row in as_list] == ["pp64", "tg32"]
    assert list(table[0]) == list(as_list[0])
    assert table[1]["samples_ts"] == "100.0 101.0 102.0"
    assert table[1]["prompt_tokens"] == "1 2 3"
    assert json.loads(table[1]["tags"]) == as_list[1]["tags"] == {"shelf": "2"}


def test_rows_hold_the_inputs(make_view: MakeView) -> None:
    """An exported row holds what it takes to measure the result again."""
    row = llama_bench_table.rows_of([make_view()])[1].as_dict()

    asked = {
        "schema_version": 2, "prompt_source": "text", "prompt_text": "To be\n",
        "prompt_tokens": (1, 2, 3), "repetitions": 3, "warmup": 1, "n_ctx": 128,
        "tags": {"shelf": "2"}, "user": "ada", "source": "python 0.1.0",
    }  # fmt: skip
    assert row.items() >= asked.items()


def test_rows_of_before_there_were_inputs(make_view: MakeView) -> None:
    """A row is null where a record of schema 1 held nothing, the size of its tensors too."""
    (row, _) = llama_bench_table.rows_of([make_view(schema_version=1, inputs=None)])

    assert (row.schema_version, row.model_size, row.model_file_size) == (1, None, 264_000)
    absent = (row.prompt_text, row.prompt_tokens, row.repetitions, row.warmup, row.tags, row.source)
    assert absent == (None,) * 6
    assert llama_bench_table.markdown([row])


#: What compare-llama-bench.py of llama.cpp asks of each row before it compares any.
LLAMA_BENCH_KEYS = [
    "build_commit",
    "build_number",
    "cpu_info",
    "gpu_info",
    "backends",
    "model_filename",
    "model_type",
    "model_size",
    "model_n_params",
    "n_batch",
    "n_ubatch",
    "n_threads",
    "cpu_mask",
    "cpu_strict",
    "poll",
    "type_k",
    "type_v",
    "n_gpu_layers",
    "split_mode",
    "main_gpu",
    "no_kv_offload",
    "flash_attn",
    "tensor_split",
    "tensor_buft_overrides",
    "use_mmap",  # of before 2026
    "load_mode",
    "fit_target",
    "fit_min_ctx",
    "embeddings",
    "no_op_offload",
    "n_prompt",
    "n_gen",
    "n_depth",
    "test_time",
    "avg_ns",
    "stddev_ns",
    "avg_ts",
    "stddev_ts",
    "n_cpu_moe",
    "samples_ns",
    "samples_ts",
]


@pytest.mark.parametrize("output", [llama_bench_table.Format.JSON, llama_bench_table.Format.CSV])
def test_every_key_of_llama_bench_is_there(
    make_view: MakeView, output: llama_bench_table.Format
) -> None:
    """No key of llama-bench is absent or null: the comparer joins rows by them in SQL, where null
    equals nothing."""
    text = llama_bench_table.text_of(llama_bench_table.rows_of([make_view()]), output)
    rows = (
        json.loads(text)
        if output is llama_bench_table.Format.JSON
        else [*csv.DictReader(io.StringIO(text))]
    )

    for row in rows:
        assert row.keys() >= set(LLAMA_BENCH_KEYS)
        assert not [key for key in LLAMA_BENCH_KEYS if row[key] is None]


def test_times_are_those_of_the_speeds(make_view: MakeView) -> None:
    """avg_ns is the time of a prompt's tokens, and of the steps between generated ones."""
    prefill, decode = llama_bench_table.rows_of([make_view()])

    assert prefill.samples_ns == (320_000_000, 304_761_905, 290_909_091)
    assert decode.samples_ns[0] == 310_000_000  # 31 steps at 100 a second
    assert decode.avg_ns == round(sum(decode.samples_ns) / 3)


def scored(view: JobView, **fields: object) -> JobView:
    assert view.result is not None
    score = ScoreResult(
        n_tokens=512, nll_nats=3.0, perplexity=20.0861, nll_stderr_nats=0.05,
        perplexity_stderr=1.0043, text="the-tempest", text_sha256="a" * 64, n_windows=5,
        window_tokens=128, accuracy=0.3, **fields,
    )  # fmt: skip
    case = view.result.cases[0].model_copy(update={"score": score})
    return view.model_copy(update={"result": view.result.model_copy(update={"cases": (case,)})})


def test_perplexity_stands_beside_speed(make_view: MakeView) -> None:
    """A job's perplexity stands once in its table, with its standard error and what it is over;
    exports have it on each row."""
    rows = llama_bench_table.rows_of([scored(make_view()), make_view("job2")])

    text = llama_bench_table.markdown(rows)
    assert text.count("20.09 ± 1.00") == 1
    assert "over 512 tokens of the-tempest in windows of 128" in text
    table = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [row["perplexity"] for row in table] == ["20.0861", "20.0861", "", ""]
    assert table[1]["perplexity_stderr"] == "1.0043"
    assert (
        json.loads(llama_bench_table.text_of(rows, llama_bench_table.Format.JSON))[0]["score_text"]
        == "the-tempest"
    )


def test_no_perplexity_no_column(make_view: MakeView) -> None:
    """A table of jobs that were not scored is no wider for it."""
    assert "perplexity" not in llama_bench_table.markdown(llama_bench_table.rows_of([make_view()]))


def test_report_shows_what_was_asked_and_scored(make_view: MakeView) -> None:
    """Prompt, counts, context, tags, perplexity with its error; the text's end is marked."""
    view = scored(make_view(), reference_perplexity=20.0861)
    assert view.result is not None
    ended = view.result.cases[0].model_copy(update={"ended_at_token": 17})
    console = PlainConsole(record=True, width=80, file=io.StringIO())

    console.print(
        job_report(
            view.model_copy(update={"result": view.result.model_copy(update={"cases": (ended,)})})
        )
    )

    text = " ".join(console.export_text().split())
    for words in (
        "3 tokens: 'To be\\n'",
        "32 tokens x 3 after 1 warm-up(s)",
        "128 positions, KV cache F16",
        "shelf=2",
        "20.086 ± 1.004 over 512 tokens of the-tempest in windows of 128 (host: 20.086)",
        "[bold]To be⟨end of text after 17 tokens⟩",
    ):
        assert words in text


def test_text_from_a_model_is_not_markup(make_view: MakeView) -> None:
    """A model's text is shown as it is, square brackets and all."""
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

    document = json.loads(json.dumps(as_json(views, [refusal], {"rp2040": "no npm"})))

    assert document["refused"] == [
        {
            "model": "tiny",
            "quantization": "F32",
            "platform": "stm32f405",
            "reason": "does not fit: …",
        }
    ]
    assert document["left_out"] == [{"platform": "rp2040", "reason": "no npm"}]
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
        "ended_at_token": None,
        "attempts": 1,
        "trace_id": "f" * 32,
        "inputs": INPUTS.model_dump(mode="json"),
    }
    assert document["schema_version"] == SCHEMA_VERSION
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

    assert parse_moment("12h", now_s) == now_s - 12 * 3600
    assert parse_moment("1970-01-02", now_s) == 86400
    with pytest.raises(UsageError, match="neither an age nor a date"):
        parse_moment("yesterday", now_s)
