"""`edgeprof explain` and `predict` as a user meets them, on boards with instruction clocks."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from edgeprof.cli import exits
from edgeprof.shared.reference.synthetic import SyntheticLlama
from tests.cli.conftest import COMMAND

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]
PROMPT = ",".join(map(str, range(1, 17)))
RUN = ("--prompt-tokens", PROMPT, "-n", "8", "-r", "1", "--json")
#: Small, so that the line takes no time: the one that is asked about, and one of another shape.
ASKED = SyntheticLlama(dim=64, hidden=192, n_vocab=256)
OTHER = SyntheticLlama(dim=128, hidden=256, n_vocab=256, matrix_type=GGMLQuantizationType.Q4_0)


@contextmanager
def worker(environment: Mapping[str, str], platform: str, folder: Path) -> Iterator[None]:
    """An agent with one board of the platform, until the block ends."""
    with (folder / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [*COMMAND, "worker", "--board", f"qemu://{platform}?uid=e1"],
            env=dict(environment), stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def submitted(edgeprof: Edgeprof, platform: str, *options: str) -> dict[str, Any]:
    done = edgeprof("submit", "--platform", platform, "--wait-for-board", *RUN, *options)
    assert done.returncode == exits.OK, done.stderr
    (job,) = json.loads(done.stdout)
    return dict(job)


def decode_of(job: dict[str, Any]) -> float:
    return float(job["result"]["cases"][0]["decode_tokens_per_second"]["mean"])


@pytest.mark.parametrize("platform", ["stm32f405", "riscv32-virt"])
def test_doing_what_it_says_gives_the_predicted_speed(
    environment: dict[str, str], edgeprof: Edgeprof, tmp_path: Path, platform: str
) -> None:
    """The advice of a profiled job, followed, is as fast as was said, to the error that was stated;
    and every number of its table is ticks of the board."""
    asked = str(ASKED.write(tmp_path / "asked.gguf"))
    other = str(OTHER.write(tmp_path / "other.gguf"))
    with worker(environment, platform, tmp_path):
        job = submitted(edgeprof, platform, "-m", asked, "--profile")
        submitted(edgeprof, platform, "-m", other, "--profile")
        said = json.loads(edgeprof("explain", job["id"], "--json").stdout)
        best = said["choices"][0]
        assert best["option"].startswith("-q ")

        after = submitted(edgeprof, platform, "-m", asked, *best["option"].split())

    predicted = best["predicted_decode_tokens_per_second"]
    assert abs(decode_of(after) / predicted - 1) <= max(said["prediction_error"]["p90"], 0.02)
    ticks = sum(use["ticks"] for use in said["operators"]) + said["unaccounted_ticks"]
    assert ticks == said["window_ticks"]
    assert after["expected"]["basis"] == "predicted"
    scores = next(use for use in said["operators"] if use["operator"] == "scores")
    assert scores["cache_bytes"] == scores["macs"]  # two bytes of F16, read once for two heads

    shown = edgeprof("explain", job["id"], "--layers", "--by-position", COLUMNS="80")
    assert shown.returncode == exits.OK, shown.stderr
    for words in ("Where the time goes:", "What binds it:", "What would help most:", "predicted"):
        assert words in shown.stdout
    folded = edgeprof("explain", job["id"], "--folded").stdout.splitlines()
    of_stack = {stack: int(n) for stack, n in (line.rsplit(" ", 1) for line in folded)}
    assert sum(n for stack, n in of_stack.items() if stack.startswith("decode")) == ticks
    by_position = sum(sum(stretch["ticks"].values()) for stretch in said["by_position"])
    assert by_position == sum(n for stack, n in of_stack.items() if "(profiling)" not in stack)
    trace = tmp_path / "trace.json"
    edgeprof("explain", job["id"], "--perfetto", str(trace))
    assert {"decode", "layer 0", "gate"} <= {
        event["name"] for event in json.loads(trace.read_text())["traceEvents"]
    }
    foreseen = json.loads(
        edgeprof(
            "predict", "-m", asked, "-q", "Q8_0", "--platform", platform,
            "-p", "16", "-n", "8", "--json",
        ).stdout
    )  # fmt: skip
    assert foreseen[0]["predicted"]["decode_tokens_per_second"] > decode_of(job)


def test_job_without_a_profile_says_how_to_get_one(edgeprof: Edgeprof) -> None:
    """A job that has not run, and one that is not there, are told from one without a profile."""
    queued = edgeprof(
        "submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait"
    ).stdout.strip()

    not_run = edgeprof("explain", queued)
    unknown = edgeprof("explain", "0123456789ab")

    assert not_run.returncode == exits.USAGE
    assert f"job {queued} is queued" in not_run.stderr
    assert unknown.returncode == exits.USAGE


def test_platform_without_profiles_is_not_predicted(edgeprof: Edgeprof) -> None:
    """Nothing is guessed: the line says which command makes a profile."""
    done = edgeprof("predict", "-m", "shakespeare-240k", "--platform", "rp2040")

    assert done.returncode == exits.USAGE
    assert "edgeprof submit --profile -m shakespeare-240k --platform rp2040" in done.stderr
