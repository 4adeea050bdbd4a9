"""Inputs in every JSON that a command prints, and what `submit` takes and refuses of them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from edgeprof.cli import exits
from edgeprof.shared.types.job import SCHEMA_VERSION
from tests.cli.conftest import COMMAND

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]
SUBMIT = ("submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait")


def submitted(edgeprof: Edgeprof, *options: str) -> dict[str, Any]:
    done = edgeprof(*SUBMIT, "--json", *options)
    assert done.returncode == exits.OK, done.stderr
    (job,) = json.loads(done.stdout)
    return dict(job)


def test_every_json_of_a_job_holds_its_inputs(edgeprof: Edgeprof) -> None:
    """submit, jobs, job and watch print the same record."""
    job = submitted(edgeprof, "--prompt", "ROMEO:", "-n", "3", "-r", "2", "--timeout", "77")
    edgeprof("cancel", job["id"])

    (listed,) = json.loads(edgeprof("jobs", "--json").stdout)
    shown = json.loads(edgeprof("job", job["id"], "--json").stdout)
    watched = edgeprof("watch", job["id"], "--json")

    assert watched.returncode == exits.JOB_FAILED
    assert json.loads(watched.stdout) == [listed] == [shown]
    assert shown["inputs"] == job["inputs"]
    assert (shown["schema_version"], shown["inputs"]["schema_version"]) == (SCHEMA_VERSION,) * 2
    case = shown["inputs"]["cases"][0]
    assert (case["prompt_text"], case["n_gen"]) == ("ROMEO:", 3)
    assert (shown["inputs"]["repetitions"], shown["inputs"]["timeout_s"]) == (2, 77)
    assert shown["inputs"]["source"].startswith("edgeprof submit ")


def test_watch_of_the_lab_prints_a_line_as_each_job_ends(
    edgeprof: Edgeprof, environment: Mapping[str, str]
) -> None:
    """The lines of `watch` come one by one, so that a program may read them as long as it likes."""
    job = submitted(edgeprof)
    with subprocess.Popen(
        [*COMMAND, "watch", "--json"], env=dict(environment), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        try:
            assert process.stderr is not None
            assert process.stdout is not None
            process.stderr.readline()  # it looks: "0 ended, 0 running, 1 queued"
            edgeprof("cancel", job["id"])
            line = json.loads(process.stdout.readline())
        finally:
            process.kill()

    assert (line["id"], line["state"]) == (job["id"], "cancelled")
    assert line["inputs"] == job["inputs"]


@pytest.mark.parametrize(
    ("options", "text", "n_tokens"),
    [
        (("--score",), "the-tempest", 512),
        (("--score-tokens", "9"), "the-tempest", 9),
        (("--corpus", "CORPUS"), "corpus.txt", 512),
    ],
)
def test_what_is_scored_is_in_the_record(
    edgeprof: Edgeprof, tmp_path: Path, options: tuple[str, ...], text: str, n_tokens: int
) -> None:
    """--corpus and --score-tokens say what to score, and so also that it is to be scored."""
    path = tmp_path / "corpus.txt"
    path.write_text(" ".join(map(str, range(1000))))

    job = submitted(edgeprof, *(str(path) if option == "CORPUS" else option for option in options))

    scoring = job["inputs"]["cases"][0]["scoring"]
    assert job["inputs"]["score"]
    assert scoring["text"] == text
    n_scored = sum(len(window) - 1 for window in scoring["windows"])
    assert n_scored == n_tokens


def test_prefill_only_and_the_empty_prompt(edgeprof: Edgeprof) -> None:
    """-n 0 and --prompt "" are what they say in the record."""
    case = submitted(edgeprof, "-n", "0", "--prompt", "")["inputs"]["cases"][0]

    assert (case["n_gen"], case["prompt_text"], case["prompt_tokens"]) == (0, "", [1])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-n", "-1"), "n_gen must be at least 0"),
        (("--timeout", "0"), "timeout"),
        (("--timeout", "-5"), "timeout"),
        (("--score-tokens", "0"), "score-tokens"),
        (("--score-tokens", "9999"), "score-tokens"),
        (("--corpus", "/nowhere/text"), "/nowhere/text: cannot read"),
    ],
)
def test_a_wrong_wish_is_a_wrong_call(
    edgeprof: Edgeprof, options: tuple[str, ...], words: str
) -> None:
    """A wrong option ends in exit 2 with what is wrong, and nothing is queued."""
    done = edgeprof(*SUBMIT, *options)

    assert done.returncode == exits.USAGE, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(edgeprof("jobs", "--json").stdout) == []
