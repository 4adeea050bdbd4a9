"""`edgeprof sweep` on a real lab: Redis, Celery, an agent with boards of real firmware."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeprof.cli.run import run
from edgeprof.client import Lab
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"
SWEEP = """\
model = "shakespeare-240k"
quantization = ["F32", "Q8_0", "Q4_0"]
platform = "native"
n_prompt = [4, 12]
n_gen = 8
repetitions = 2
score_tokens = 60
score_stride = 16
n_ctx = 32

[[exclude]]
quantization = "Q4_0"
n_prompt = 4
"""
N_JOBS = 3 * 2 - 1 + 3

UNSCORED = """\
model = "shakespeare-240k"
platform = "native"
n_prompt = 4
n_gen = [4, 5, 6]
score = false
"""
#: Its rows have 64 weights, and TQ2_0 wants 256.
REFUSED = """\
model = "shakespeare-240k"
quantization = ["TQ2_0", "Q8_0"]
platform = "native"
n_prompt = 4
n_gen = 4
score_tokens = 20
"""

Sweep = Callable[..., tuple[int, str, str]]


@pytest.fixture
def sweep(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Sweep]:
    """`sweep("night.toml", "--json")` in a lab of two native boards: exit code, stdout, stderr."""
    for name, value in rig.settings.as_environment().items():
        monkeypatch.setenv(name, value)
    rig.start_scheduler()  # a doorbell that a drained board has heard is rung again
    arguments = ["--board", "native://?uid=0011", "--board", "native://?uid=0022"]
    agent = subprocess.Popen(
        [sys.executable, "-c", AGENT, *arguments],
        env={**os.environ, **rig.settings.as_environment()},
    )
    for board in ("native-0011", "native-0022"):
        rig.until_board(board, BoardState.ONLINE)

    def command(*words: str) -> tuple[int, str, str]:
        code = run(["sweep", *words])
        said = capsys.readouterr()
        return code, said.out, said.err

    yield command
    agent.terminate()
    assert agent.wait(30) == 0


def n_jobs(rig: Rig) -> int:
    return sum(rig.store.jobs.counts().values())


def test_a_sweep_answers_which_one_to_take_and_goes_on_where_it_stopped(
    rig: Rig, sweep: Sweep, tmp_path: Path
) -> None:
    """A dry run queues nothing; the sweep queues all, ranks them with perplexity and RAM, and
    recommends one; again, it queues only what is missing; another type is another sweep."""
    path = tmp_path / "night.toml"
    path.write_text(SWEEP)

    code, out, err = sweep(str(path), "--dry-run", "--json")
    planned = json.loads(out)
    assert (code, n_jobs(rig)) == (0, 0), err
    assert (len(planned["jobs"]), planned["not_predicted"]) == (N_JOBS, N_JOBS)

    code, out, err = sweep(str(path), "--no-wait", "--json")
    assert code == 0, err
    queued = json.loads(out)
    with Lab(settings=rig.settings) as lab:
        ended = [lab.job(job_id).wait(timeout=60) for job_id in queued["jobs"]]
        assert {view.state for view in ended} == {JobState.SUCCEEDED}
    assert queued["sweep_id"] == planned["sweep_id"]

    code, out, err = sweep(str(path), "--json")
    assert code == 0, err
    assert (n_jobs(rig), f"{N_JOBS} measured before" in err) == (N_JOBS, True)
    answer = json.loads(out)
    rows = answer["rows"]
    assert len(rows) == 5
    of = {row["made_as"]: row for row in rows}
    assert of["F32"]["top1_change"] is None  # its cache is F16
    assert 0 < of["Q8_0"]["top1_change"] < of["Q4_0"]["top1_change"]
    assert of["Q4_0"]["ram_bytes"] < of["Q8_0"]["ram_bytes"] < of["F32"]["ram_bytes"]
    assert all(row["perplexity_stderr"] > 0 for row in rows)
    assert all(row["scored_over"].endswith("in windows of 32, stride 16") for row in rows)
    taken = [row for row in rows if row["recommended"]]
    assert [row["job_id"] for row in taken] == [answer["recommended"]]
    assert taken[0]["perplexity_increase"] <= 0.05

    code, out, err = sweep(answer["sweep_id"], "--max-ram", "1K", "--csv")
    assert code == 1
    assert len(out.splitlines()) == 1 + 5

    path.write_text(SWEEP.replace('"F32", ', ""))
    code, out, err = sweep(str(path), "--dry-run", "--json")
    other = json.loads(out)
    assert other["sweep_id"] != answer["sweep_id"]
    assert (len(other["jobs"]), other["not_predicted"]) == (5, 0)
    assert other["predicted_s"] > 0


def test_only_what_is_missing_is_measured(rig: Rig, sweep: Sweep, tmp_path: Path) -> None:
    """What was cancelled is queued again, what is measured or still queued is not; --fresh measures
    all again."""
    path = tmp_path / "night.toml"
    path.write_text(UNSCORED)
    with Lab(settings=rig.settings) as lab:
        rig.store.boards.cordon("native-0011", BoardState.DRAINING, "test", "a test")
        rig.store.boards.cordon("native-0022", BoardState.DRAINING, "test", "a test")
        code, out, _ = sweep(str(path), "--no-wait")
        first, *others = out.split()
        assert (code, len(others)) == (0, 2)
        lab.job(first).cancel()
        for board in ("native-0011", "native-0022"):
            rig.store.boards.resume(board, "test", "done")

        code, _, err = sweep(str(path))

        assert code == 0, err
        assert "1 job(s) queued" in err
        assert n_jobs(rig) == 4
        code, _, err = sweep(str(path), "--fresh")
        assert code == 0, err
        assert n_jobs(rig) == 7


def test_a_refused_combination_is_part_of_the_answer(
    rig: Rig, sweep: Sweep, tmp_path: Path
) -> None:
    """What does not fit is told with its reason; the rest is measured, and the exit code is 1."""
    path = tmp_path / "night.toml"
    path.write_text(REFUSED)

    code, out, err = sweep(str(path), "--json")

    assert code == 1, err
    answer = json.loads(out)
    assert [row["made_as"] for row in answer["rows"]] == ["Q8_0"]
    (refused,) = answer["refused"]
    assert (refused["state"], refused["model"]["quantization"]) == ("refused", "TQ2_0")
    assert refused["reason"] in err
