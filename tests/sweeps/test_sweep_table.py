"""The answer of a sweep as a table, a CSV and JSON."""

from __future__ import annotations

import csv
import io

import pytest
from rich.console import Console

from edgeprof.cli import quantities
from edgeprof.cli.render import sweep_table
from edgeprof.cli.render.sweep_table import Answer
from edgeprof.client.choice import Limits
from edgeprof.client.sweep_rows import SweepRow
from edgeprof.shared.errors import UsageError
from tests.sweeps.made_rows import row, scored


def rows() -> list[SweepRow]:
    quality = {"perplexity_stderr": 1.25, "scored_over": "512 tokens of a text"}
    return [
        scored(name, speed, perplexity, test=test, platform=platform, top1_change=0.05, **quality)
        for platform in ("stm32f405", "mps2-an500")
        for test in ("pp16 tg64", "pp256 tg64")
        for name, speed, perplexity in (("F32", 50, 20.0), ("Q8_0", 139.5, 20.1), ("Q4_0", 9, 25))
    ]


def printed(answer: Answer, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(sweep_table.sheet(answer).fitted(console).table(), crop=False)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()]


def test_80_columns_keep_what_tells_rows_apart() -> None:
    """On 80 columns no line is wider and nothing is cut: type, platform and test stay because they
    differ, model and cache go because they do not, and of the numbers the least important."""
    lines = printed(Answer.of(rows(), Limits()), 80)

    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:5] == ["best", "type", "platform", "test", "t/s"]
    assert "perplexity" in lines[0]
    assert not {"model", "cache", "flash"} & set(lines[0].split())
    assert any(line.split()[:3] == ["take", "Q8_0", "stm32f405"] for line in lines)


def test_a_wide_table_has_everything_measured() -> None:
    """Without a limit of width all columns are there; energy only where there is a meter."""
    answer = Answer.of(rows(), Limits())
    metered = Answer.of([row("F32", 1.0, energy_per_token_mj=2.345)], Limits())

    headings = printed(answer, 300)[0].split()
    assert headings[:6] == ["best", "model", "type", "platform", "test", "context"]
    assert "mJ/token" not in printed(answer, 300)[0]
    assert any("2.35" in line for line in printed(metered, 300))


def test_rows_are_compared_in_their_section() -> None:
    """Rows of a platform and test stand together, the fastest first."""
    answer = Answer.of(rows(), Limits())

    assert [(r.platform, r.test, r.made_as) for r in answer.rows[:4]] == [
        ("stm32f405", "pp16 tg64", "Q8_0"),
        ("stm32f405", "pp16 tg64", "F32"),
        ("stm32f405", "pp16 tg64", "Q4_0"),
        ("stm32f405", "pp256 tg64", "Q8_0"),
    ]


def test_the_verdict_names_the_row_and_the_limits() -> None:
    """The first note is the recommendation, with the limits that it kept; or that there is none."""
    took = sweep_table.notes(Answer.of(rows(), Limits(ttft_s=0.6, ram_bytes=98_304)))
    none = sweep_table.notes(Answer.of(rows(), Limits(ram_bytes=1024)))

    assert took[0].startswith("take: tiny Q8_0 on stm32f405, the fastest within the limits")
    assert "perplexity at most 5 % above the least, TTFT at most 600 ms" in took[0]
    assert "RAM at most 96.00 KiB" in took[0]
    assert none[0].startswith("take: no row is within the limits")
    assert any("512 tokens of a text" in note for note in took)


def test_a_speed_that_varies_is_pointed_out() -> None:
    """A speed whose runs differ by more than 5 % has a mark, and a line says what it means."""
    answer = Answer.of([row("F32", 100, 120), row("Q8_0", 100, 101)], Limits())

    assert sum("!" in line for line in printed(answer, 300)) == 1
    assert any(note.startswith("! runs of one test differ") for note in sweep_table.notes(answer))


def test_the_verdict_names_cache_and_context_where_they_are_a_choice() -> None:
    """Where the sweep varies context and cache type, the recommendation has them."""
    rows = [
        row("F32", speed, job_id=str(speed), kv_type=kv_type, n_ctx=n_ctx,
            choice=("F32", "esp32s3", kv_type, n_ctx))
        for speed, kv_type, n_ctx in ((9.0, "F16", 64), (8.0, "F16", 128), (5.0, "F32", 128))
    ]  # fmt: skip

    verdict = sweep_table.notes(Answer.of(rows, Limits()))[0]

    assert "tiny F32 on esp32s3, context 64, F16 cache, the fastest" in verdict


def test_csv_and_json_have_the_same_fields() -> None:
    """CSV has a line a row with JSON's names; what was not measured is empty and null."""
    answer = Answer.of(rows(), Limits())

    read = list(csv.DictReader(io.StringIO(sweep_table.csv_text(answer))))

    first = answer.as_json(answer.rows[0])
    assert len(read) == 12
    assert {"speed_sd", "speed_samples", *first} == set(read[0])
    assert (read[0]["speed"], read[0]["energy_per_token_mj"]) == ("139.5", "")
    assert first["energy_per_token_mj"] is None
    assert [each["recommended"] for each in read].count("True") == 1
    assert sweep_table.csv_text(Answer.of([], Limits())) == ""


@pytest.mark.parametrize(
    ("text", "n_bytes"), [("98304", 98304), ("96K", 98304), ("96 kB", 98304), ("1.5MiB", 1572864)]
)
def test_sizes(text: str, n_bytes: int) -> None:
    """A size is bytes, or has a unit of 1024 bytes or of 1024 times 1024."""
    assert quantities.size_bytes("--max-ram", text) == n_bytes


def test_times_and_shares() -> None:
    """A time is seconds without a unit, a share is a percentage with or without its sign."""
    assert quantities.seconds("--max-ttft", "200ms") == pytest.approx(0.2)
    assert quantities.seconds("--max-ttft", "1.5") == 1.5
    assert quantities.share("--max-ppl-increase", "2.5%") == pytest.approx(0.025)
    assert quantities.share("--max-ppl-increase", "2.5") == pytest.approx(0.025)


@pytest.mark.parametrize("text", ["", "fast", "5 years", "-3", "1e9"])
def test_what_is_no_quantity(text: str) -> None:
    """Something else is a wrong call, with an example."""
    with pytest.raises(UsageError, match="is no quantity") as caught:
        quantities.seconds("--max-ttft", text)

    assert caught.value.hint == "e.g. --max-ttft 200ms or 1.5s"
