"""The GitHub Action of the how-to is run as its runner would: submit, compare, annotate, stop."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from edgeprof.client import Lab
from edgeprof.client.query import Query
from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.result import JobView, Samples
from tests.support.null_lab import Rig

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to" / "gate-a-change.md"
BOARD = "mps2-an500"
Run = Callable[[], "subprocess.CompletedProcess[str]"]


def script() -> str:
    """The script of the Action, for the board that is emulated here."""
    text = HOW_TO.read_text().partition("```yaml\n")[2].partition("```")[0]
    (step,) = [step for step in yaml.safe_load(text)["jobs"]["speed"]["steps"] if "run" in step]
    return str(step["run"]).replace("stm32f405", BOARD)


def saved(n_jobs: int) -> SavedBaseline:
    return SavedBaseline(name="main", selection="x", user="ada", saved_s=1.0, n_jobs=n_jobs)


def faster(view: JobView) -> JobView:
    """The same job with a decode that is 10 % faster than it was."""
    assert view.result is not None
    case = view.result.cases[0]
    assert case.decode_tokens_per_second is not None
    speed = Samples.of([1.1 * each for each in case.decode_tokens_per_second.samples])
    case = case.model_copy(update={"decode_tokens_per_second": speed})
    return view.model_copy(
        update={
            "id": f"better-{view.id[:6]}",
            "result": view.result.model_copy(update={"cases": (case,)}),
        }
    )


@pytest.fixture
def run(rig: Rig, tmp_path: Path) -> Run:
    """`run()`: the script, in a lab with one board whose clock counts instructions."""
    environment = {**os.environ, **rig.settings.as_environment()}
    for part in (("scheduler",), ("worker", "--board", f"qemu://{BOARD}?uid=01")):
        command = [sys.executable, "-m", "edgeprof.cli", *part]
        rig.adopt(subprocess.Popen(command, env=environment))
    rig.until_board(f"{BOARD}-01", BoardState.ONLINE)
    tools = f"{Path(sys.executable).parent}:{environment['PATH']}"
    summary = str(tmp_path / "summary.md")

    def call() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", script()],
            cwd=tmp_path,
            env={**environment, "PATH": tools, "GITHUB_STEP_SUMMARY": summary},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return call


@pytest.mark.e2e
@pytest.mark.qemu
def test_the_action_passes_and_stops(rig: Rig, run: Run, tmp_path: Path) -> None:
    """The same firmware passes; against a baseline that was 10 % faster the script ends with 1."""
    with Lab(settings=rig.settings) as lab, Archive.open(rig.settings) as archive:
        for kind in ("Q8_0", "Q4_0"):
            job = lab.submit(
                "shakespeare-240k", platform=BOARD, quantization=kind, n_prompt=16, n_gen=16
            )
            job.wait(timeout=100)
        rig.wait_until(lambda: len(archive.find(Query())) == 2, "both jobs in the archive")
        views = archive.find(Query())
        archive.save_baseline(saved(2), [view.id for view in views])

        same = run()

        assert same.returncode == 0, same.stdout + same.stderr
        assert "::notice title=edgeprof compare::0 better, 0 worse" in same.stdout
        better = [faster(view) for view in views]
        archive.save(better)
        archive.save_baseline(saved(2), [view.id for view in better])

        worse = run()

    assert worse.returncode == 1, worse.stdout + worse.stderr
    errors = [line for line in worse.stdout.splitlines() if line.startswith("::error ")]
    assert len(errors) == 2
    assert all("decode<-3%25: " in line and "-9.09%25 exact, worse" in line for line in errors)
    assert "| -9.09% exact |" in (tmp_path / "summary.md").read_text()
