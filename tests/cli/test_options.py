"""Options: what is repeated, listed, misspelt, explained and completed."""

from __future__ import annotations

import json
import re

import pytest

from edgeprof.cli import exits
from edgeprof.cli.app import app
from tests.cli.conftest import Edgeprof

SUBMIT = ("submit", "-m", "shakespeare-240k", "--platform", "native", "--wait-for-board")
COMMANDS = [
    "submit", "sweep", "watch", "jobs", "job", "results", "cancel", "retry", "boards",
    "boards drain",
    "boards resume", "boards forget", "boards test", "boards upgrade", "boards identify",
    "boards history", "models",
    "models list", "models inspect", "models quantize", "models fits", "models import", "scheduler",
    "worker", "flower", "stop", "demo",
]  # fmt: skip


@pytest.mark.parametrize(
    "repeated",
    [
        "--prompt-tokens 1 --prompt-tokens 2",
        "-r 1 -r 2",
        "--priority 1 --priority 1",
        "--wait --no-wait",
    ],
)
def test_an_option_with_one_value_is_given_once(edgeprof: Edgeprof, repeated: str) -> None:
    """The last one is not taken in silence."""
    done = edgeprof(*SUBMIT, "--no-wait", *repeated.split())

    assert done.returncode == exits.USAGE
    assert "takes one value, and was given" in done.stderr


def test_lists_are_a_job_each(edgeprof: Edgeprof) -> None:
    """Models, types, prompts, counts, contexts and cache types multiply; counts are repeated or
    separated by commas."""
    lists = (
        "-q Q8_0 -q Q4_0 --prompt a --prompt b -p 8 -n 4 -n 0 --n-ctx 64,128"
        " --kv-type F16 --kv-type F32"
    )
    done = edgeprof(*SUBMIT, *lists.split(), "--no-wait")

    assert done.returncode == exits.OK, done.stderr
    assert len(done.stdout.split()) == 2 * 3 * 2 * 2 * 2


def test_numbers_that_are_none(edgeprof: Edgeprof) -> None:
    """The option and what a list looks like are named."""
    done = edgeprof(*SUBMIT, "-p", "32,many")

    assert done.returncode == exits.USAGE
    assert "--n-prompt 32,many: these are not whole numbers" in done.stderr


def test_a_wrong_choice_is_told_in_plain_words(edgeprof: Edgeprof) -> None:
    """What was given, and what can be; not in the words of a validation library."""
    done = edgeprof(*SUBMIT, "-q", "q5_k")

    assert done.returncode == exits.USAGE
    assert "Invalid value for '--quantization' / '-q': 'q5_k' is not one of" in done.stderr


def test_partly_refused_is_not_success(edgeprof: Edgeprof) -> None:
    """TQ2_0 does not divide this model's rows: exit code 1, and JSON lists what was refused."""
    done = edgeprof(*SUBMIT, "-q", "Q8_0", "-q", "TQ2_0", "--no-wait", "--json")

    queued, refused = json.loads(done.stdout)
    assert done.returncode == exits.JOB_FAILED
    assert queued["state"] == "queued"
    assert (refused["id"], refused["state"]) == (None, "refused")
    model = {"name": "shakespeare-240k", "quantization": "TQ2_0", "head": None}
    assert refused["model"] == model
    assert refused["target"] == "native"
    assert refused["reason"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_whole(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """At 80 columns no line is cut or too long, and no placeholder is a type of Python."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as end:
        app(args=[*command.split(), "--help"], prog_name="edgeprof")

    assert end.value.code == exits.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert [line for line in lines[1:] if line.endswith("...")] == []
    assert [
        line for line in lines if re.search(r"<(str|int|float|path|bool|list|\w+\|)", line)
    ] == []


def completed(edgeprof: Edgeprof, words: str) -> list[str]:
    """Return what bash is offered for the last word."""
    count = len(words.split()) - 1 if not words.endswith(" ") else len(words.split())
    done = edgeprof(
        _EDGEPROF_COMPLETE="complete_bash",
        COMP_WORDS=f"edgeprof {words}",
        COMP_CWORD=str(count + 1),
    )
    return done.stdout.split()


def test_the_shell_completes_names(edgeprof: Edgeprof) -> None:
    """Commands, models and jobs; and a lab that cannot be asked offers nothing, without a word."""
    (job,) = edgeprof(*SUBMIT, "--no-wait").stdout.split()

    assert completed(edgeprof, "sub") == ["submit"]
    assert completed(edgeprof, "submit -m shakespeare-2") == ["shakespeare-240k"]
    assert completed(edgeprof, f"job {job[:4]}") == [job]
    nowhere = edgeprof(
        _EDGEPROF_COMPLETE="complete_bash", COMP_WORDS="edgeprof job x", COMP_CWORD="2",
        EDGEPROF_REDIS_URL="redis://127.0.0.1:1/0",
    )  # fmt: skip
    assert (nowhere.stdout.strip(), nowhere.stderr) == ("", "")


def test_a_job_says_what_it_waits_for(edgeprof: Edgeprof) -> None:
    """No worker has announced such a board: the list and the report of the job say that."""
    (job,) = edgeprof(*SUBMIT, "--no-wait").stdout.split()

    words = "waits for a board native: no worker has announced one"
    assert words in edgeprof("jobs").stdout
    assert words in edgeprof("job", job).stdout
