"""Users without a name, without a home, or with one that they cannot write."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.identity import user_name

ROOT = os.geteuid() == 0
EDGEPROF = (sys.executable, "-m", "edgeprof.cli")
#: Imports first, as the checkout may be closed to others; then becomes a user of no name, if root
#: may.
NAMELESS = """
import os, sys
import edgeprof.cli.run, edgeprof.cli.boards, edgeprof.cli.results, edgeprof.client.lab
import edgeprof.client.planning, edgeprof.scheduler.archive, rich.text
import edgeprof.shared.identity
import alembic.command, alembic.config, getpass, pwd
if os.geteuid() == 0:
    os.setgroups([]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)
for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
"""
RUN = "import edgeprof.cli as cli\nsys.argv = ['edgeprof', 'results']\ncli.main()"


def nameless(code: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, "-c", NAMELESS + code],
        check=False,
        capture_output=True,
        text=True,
        env={name: value for name, value in variables.items() if value is not None},
        cwd="/",
    )


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without a name, as in many containers, is shown as uid-N."""
    done = nameless(
        "from edgeprof.client.request import Request\n"
        "from edgeprof.cli.board_requests import actor\n"
        "print(Request(model='m').user, actor())"
    )
    if ROOT:
        assert done.stdout == "uid-54321 user:uid-54321\n", done.stderr
    for error in (KeyError("no such uid"), OSError("no such uid")):
        monkeypatch.setattr("getpass.getuser", _raising(error))
        assert user_name() == f"uid-{os.getuid()}"


def _raising(error: Exception) -> Callable[[], str]:
    def fail() -> str:
        raise error

    return fail


@pytest.mark.skipif(not ROOT, reason="any other user of this machine has a home in the passwd file")
def test_without_a_home_it_is_told_what_to_set() -> None:
    """No folder called ~ is made in the current one."""
    done = nameless(RUN, HOME=None)

    assert done.returncode == 2
    assert "no home folder" in done.stderr
    assert "EDGEPROF_DATA_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_home_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """The folder, why, and the setting, by every command that needs one; no traceback, no bug."""
    home = tmp_path / "home"
    home.touch()
    for command in (["results"], ["jobs"], ["flower"]):
        done = subprocess.run(
            [*EDGEPROF, *command],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "HOME": str(home)},
            cwd=tmp_path,
        )
        assert done.returncode == 3, done.stderr
        assert str(home) in done.stderr
        assert "EDGEPROF_DATA_DIR" in done.stderr
        assert "bug of edgeprof" not in done.stderr
        assert "Traceback" not in done.stderr
