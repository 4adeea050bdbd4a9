"""`edgeprof compare`, `baseline` and `history` as a user and a script meet them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from edgeprof.cli import exits
from edgeprof.cli.run import run as run_command
from edgeprof.scheduler.archive import Archive
from tests.support.measured import STEADY, measured, times

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("compare", "a", "b")`: exit code, stdout and stderr, on an archive of three jobs."""
    monkeypatch.setenv("EDGEPROF_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("EDGEPROF_REDIS_URL", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    with Archive(f"sqlite:///{tmp_path / 'results.db'}") as archive:
        archive.save(
            [
                measured("fast", STEADY, firmware="aaaa1111"),
                measured("slow", times(0.9), firmware="bbbb2222"),
                measured("wild", (100.0, 80.0, 120.0, 90.0), firmware="bbbb2222"),
                measured("host", STEADY, platform="native", firmware="cccc3333"),
            ]
        )

    def call(*arguments: str) -> tuple[int, str, str]:
        code = run_command(arguments)
        told = capsys.readouterr()
        return code, told.out, told.err

    return call


def test_table_for_people(run: Run) -> None:
    """Sides and doubts are on stderr, the table is on stdout."""
    code, out, err = run("compare", "fast", "slow")

    assert code == exits.OK
    (line,) = [line for line in out.splitlines() if "decode" in line]
    for part in ("tiny Q8_0", "tg32 @ d64", "100.00 t/s ± 0.8%", "0.900", "-10.0% (-11", "worse"):
        assert part in line
    assert "old: job fast, 1 job(s), firmware aaaa1111; new: job slow" in err


def test_doubts_and_repetitions_are_told(run: Run) -> None:
    """A row that nobody can tell says how many runs would; an unstable one is marked."""
    _, out, err = run("compare", "fast", "wild", "--measure", "decode")

    assert "can't tell (" in out
    assert "runs would) !" in out
    assert "! tiny Q8_0 on esp32s3 decode tg32 @ d64, new: unstable: runs of decode differ" in err


def test_gate_exits_1_and_tells_why(run: Run) -> None:
    """A condition that holds costs nothing."""
    code, _, err = run("compare", "fast", "slow", "--fail-if", "decode<-3%")
    assert code == exits.JOB_FAILED
    assert "failed: decode<-3%: tiny Q8_0 on esp32s3 decode tg32 @ d64: -10.0%" in err

    assert run("compare", "fast", "slow", "--fail-if", "decode<-20%")[0] == exits.OK


def test_json_has_all_rows_and_samples_counts(run: Run) -> None:
    """Programs get every number, also of rows that people are not shown."""
    code, out, _ = run("compare", "fast", "slow", "--json", "--fail-if", "decode<-3%")
    told = json.loads(out)

    assert (code, told["failed"], told["schema_version"]) == (1, True, 1)
    row = {row["measure"]: row for row in told["rows"]}["decode"]
    assert (row["verdict"], row["breaks"]) == ("worse", ["decode<-3%"])
    assert row["change"] == pytest.approx(-0.1)
    assert row["change_low"] < row["change"] < row["change_high"]
    assert (row["old"]["n_runs"], row["new"]["firmware"]) == (5, ["bbbb2222"])


def test_junit_is_what_a_ci_reads(run: Run) -> None:
    """A row is a test: it fails, or is skipped where it cannot be told."""
    _, out, _ = run("compare", "fast", "slow", "--format", "junit", "--fail-if", "decode<-3%")
    suite = ET.fromstring(out)

    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failed,) = suite.findall("testcase[failure]")
    assert failed.get("name") == "decode tg32 @ d64"
    _, out, _ = run("compare", "fast", "wild", "--format", "junit")
    assert len(ET.fromstring(out).findall("testcase[skipped]")) == 2


def test_github_gets_annotations(run: Run) -> None:
    """Errors break a condition, warnings are worse; a percent sign is escaped."""
    _, out, _ = run("compare", "fast", "slow", "--format", "github", "--fail-if", "decode<-3%")
    lines = out.splitlines()

    assert lines[0].startswith("::warning title=tiny Q8_0 on esp32s3 prefill pp64::")
    assert lines[1].startswith("::error title=tiny Q8_0 on esp32s3 decode tg32 @ d64::decode<-3%25")
    assert lines[2].startswith("::notice title=edgeprof compare::0 better, 2 worse")


def test_markdown_is_a_table(run: Run) -> None:
    """As many cells a row as headings."""
    _, out, _ = run("compare", "fast", "slow", "--format", "md")
    rows = [line for line in out.splitlines() if line.startswith("|")]

    assert len(rows) == 4
    assert len({row.count(" | ") for row in [rows[0], *rows[2:]]}) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compare", "fast", "host"), "nothing in common: job fast has tiny Q8_0 (abababab) on"),
        (("compare", "fast", "baseline:never"), "no baseline 'never'"),
        (("compare", "fast", "nobody"), "no job, sweep, baseline or firmware 'nobody'"),
        (("compare", "fast", "slow", "-m", "other"), "or firmware 'fast' with other in"),
        (("compare", "fast", "slow", "--measure", "speed"), "there is no measure 'speed'"),
        (("compare", "fast", "slow", "--fail-if", "energy>1%"), "no row has both"),
        (("baseline", "save", "a b", "fast"), "'a b' is no name"),
        (("baseline", "save", "new", "nobody"), "'nobody'"),
        (("baseline", "delete", "never"), "no baseline 'never'"),
        (("history", "-m", "other"), "no job of other has measured decode"),
        (("history", "-m", "tiny", "--measure", "speed"), "no measure 'speed'"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(run: Run, arguments: tuple[str, ...], says: str) -> None:
    """Nothing is printed on stdout then."""
    code, out, err = run(*arguments)

    assert (code, out) == (exits.USAGE, "")
    assert says in err
    assert "hint: " in err


def test_baselines_are_saved_listed_and_deleted(run: Run) -> None:
    """A name is not overwritten by accident."""
    assert run("baseline", "save", "release", "aaaa1111")[0] == exits.OK
    code, _, err = run("baseline", "save", "release", "slow")
    assert (code, "--replace replaces it" in err) == (exits.USAGE, True)
    assert run("baseline", "save", "release", "fast", "--replace")[0] == exits.OK

    (saved,) = json.loads(run("baseline", "list", "--json")[1])
    assert (saved["name"], saved["selection"], saved["n_jobs"]) == ("release", "job fast", 1)
    assert run("compare", "release", "slow", "--fail-if", "decode<-3%")[0] == exits.JOB_FAILED
    assert run("baseline", "delete", "release")[0] == exits.OK
    assert json.loads(run("baseline", "list", "--json")[1]) == []


def test_history_draws_and_tells_the_changes(run: Run, tmp_path: Path) -> None:
    """The plot has a dot for each job; the firmware since the change is named."""
    with Archive(f"sqlite:///{tmp_path / 'results.db'}") as archive:
        archive.save(
            [
                measured(
                    f"n{n}",
                    times(1 if n < 9 else 0.9, (100.0, 100.0 + n % 3)),
                    board="night",
                    firmware="aaaa1111" if n < 9 else "bbbb2222",
                    finished_s=1.7e9 + n,
                )
                for n in range(18)
            ]
        )

    code, out, _ = run("history", "-m", "tiny", "--board", "night")

    assert code == exits.OK
    assert "tiny Q8_0 on night: decode, t/s, 64+32 tokens, context 128, 18 jobs" in out
    assert out.count("•") == 18
    assert "(-10.0%, worse), since job n9, firmware aaaa1111 -> bbbb2222" in out
    (course,) = json.loads(run("history", "-m", "tiny", "--board", "night", "--json")[1])
    assert [turn["index"] for turn in course["turns"]] == [9]
