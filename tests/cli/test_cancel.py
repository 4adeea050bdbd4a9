"""`edgeprof cancel` of many, and `edgeprof jobs` by what they are."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable, Mapping

import pytest

from edgeprof.cli import exits

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def queued(edgeprof: Edgeprof) -> list[str]:
    """Two jobs that wait for a board nobody has."""
    wish = ("-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait")
    return edgeprof("submit", *wish, "-q", "Q8_0", "-q", "Q4_0").stdout.split()


def states(edgeprof: Edgeprof, *asked: str) -> list[str]:
    return [job["state"] for job in json.loads(edgeprof("jobs", "--json", *asked).stdout)]


def test_all_without_a_terminal(edgeprof: Edgeprof, queued: list[str]) -> None:
    """A script is not asked; it is told how many."""
    done = edgeprof("cancel", "--all", "--json")

    assert json.loads(done.stdout) == {"cancelled": len(queued), "asked_to_stop": 0}
    assert states(edgeprof) == ["cancelled"] * 2
    assert "no job is queued" in edgeprof("cancel", "--all").stderr


@pytest.mark.parametrize(
    ("answer", "options", "after", "code"),
    [
        ("n\n", (), "queued", exits.INTERRUPTED),
        ("y\n", (), "cancelled", exits.OK),
        ("", ("--yes",), "cancelled", exits.OK),
    ],
)
@pytest.mark.usefixtures("queued")
def test_a_person_is_asked(
    edgeprof: Edgeprof,
    environment: Mapping[str, str],
    answer: str,
    options: tuple[str, ...],
    after: str,
    code: int,
) -> None:
    """A person at a terminal sees the count, and "no" leaves all as it is; --yes asks nothing."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        done = subprocess.run(
            [sys.executable, "-m", "edgeprof.cli", "cancel", "--all", *options],
            env=environment,
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)

    assert done.returncode == code, done.stderr
    assert ("Cancel 2 job(s)?" in done.stderr) == bool(answer)
    assert states(edgeprof) == [after] * 2


@pytest.mark.parametrize(
    "call", [(), ("x", "--all"), ("--all", "--sweep", "s"), ("x", "--sweep", "s")]
)
def test_what_to_cancel_is_said_once(edgeprof: Edgeprof, call: tuple[str, ...]) -> None:
    """Nothing named, or two ways at once: exit 2, and nothing is cancelled."""
    done = edgeprof("cancel", *call)

    assert done.returncode == exits.USAGE
    assert "name jobs, or one sweep" in done.stderr


@pytest.mark.usefixtures("queued")
def test_jobs_of_somebody_else(edgeprof: Edgeprof) -> None:
    """A filter that nobody meets lists nothing, and says that it was one."""
    assert states(edgeprof, "--user", "nobody-of-that-name") == []
    assert "of those asked for" in edgeprof("jobs", "--board", "b", "--state", "queued").stderr
