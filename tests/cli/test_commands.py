"""What commands print: data on stdout, JSON on demand, the rest on stderr."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from edgeprof.cli import exits
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from tests.cli.conftest import COMMAND
from tests.support.board_infos import null_board
from tests.support.model_folders import write_folder

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize("command", [("jobs",), ("boards",), ("results",), ("models", "list")])
def test_every_list_has_json(edgeprof: Edgeprof, command: tuple[str, ...]) -> None:
    """--json prints a list, also when there is nothing to list."""
    done = edgeprof(*command, "--json")

    assert done.returncode == exits.OK, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_empty_lists_leave_stdout_empty(edgeprof: Edgeprof) -> None:
    """ "Nothing there" is for the person, not for the pipe."""
    done = edgeprof("boards")

    assert (done.returncode, done.stdout) == (exits.OK, "")
    assert "edgeprof worker" in done.stderr


def test_version(edgeprof: Edgeprof) -> None:
    """--version prints name and number."""
    assert edgeprof("--version").stdout.startswith("edgeprof 0.")


def test_help_lists_plugin_commands(edgeprof: Edgeprof) -> None:
    """Commands of the workers are listed with the scheduler's own."""
    assert "worker " in edgeprof("--help").stdout


def test_import_finds_out_what_a_path_is(edgeprof: Edgeprof, tmp_path: Path) -> None:
    """A Hugging Face folder becomes a model that can be inspected; a GGUF is told it is one."""
    out = tmp_path / "tiny.gguf"
    made = edgeprof("models", "import", str(write_folder(tmp_path / "tiny-hf")), "-o", str(out))
    other = edgeprof("models", "import", str(out), "-o", str(tmp_path / "other.gguf"))

    assert made.returncode == exits.OK, made.stderr
    assert "tiny F32" in made.stderr
    facts = json.loads(edgeprof("models", "inspect", str(out), "--json").stdout)
    assert (facts["dim"], facts["quantization"]) == (32, "F32")
    assert other.returncode != exits.OK
    assert "a GGUF already" in other.stderr


def test_quantize_then_inspect(edgeprof: Edgeprof, tmp_path: Path) -> None:
    """A type made of a model is a model of that type."""
    out = tmp_path / "q8.gguf"
    made = edgeprof("models", "quantize", "shakespeare-240k", "q8_0", "-o", str(out))

    assert made.returncode == exits.OK, made.stderr
    facts = json.loads(edgeprof("models", "inspect", str(out), "--json").stdout)
    assert facts["quantization"] == "Q8_0"
    assert facts["size_bytes"] == out.stat().st_size


def test_cancel_a_queued_job(edgeprof: Edgeprof) -> None:
    """A queued job is cancelled at once, and a wait for it ends with 1."""
    job_id = edgeprof(
        "submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait"
    ).stdout.strip()

    assert edgeprof("cancel", job_id).returncode == exits.OK
    assert json.loads(edgeprof("job", job_id, "--json").stdout)["state"] == "cancelled"
    assert edgeprof("watch", job_id).returncode == exits.JOB_FAILED


def test_ctrl_c_leaves_the_job(
    edgeprof: Edgeprof, environment: Mapping[str, str], wait_until: Callable[..., None]
) -> None:
    """Ctrl-C while waiting: 130, the job goes on, and its id is printed."""
    arguments = ["submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board"]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeprof.cli", *arguments],
        env={**environment, "EDGEPROF_LOG_LEVEL": "INFO"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: json.loads(edgeprof("jobs", "--json").stdout), "the job is queued")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()

    (job,) = json.loads(edgeprof("jobs", "--json").stdout)
    assert process.returncode == exits.INTERRUPTED, stderr
    assert job["state"] == "queued"
    assert job["id"] in stderr


def test_stop_ends_the_embedded_redis(edgeprof: Edgeprof) -> None:
    """The server that a command started can be stopped by hand, and a second stop says there is
    none."""
    embedded = {"EDGEPROF_REDIS_URL": ""}  # empty is as good as not set
    edgeprof("jobs", **embedded)

    assert "stopped" in edgeprof("stop", **embedded).stderr
    assert "no embedded Redis" in edgeprof("stop", **embedded).stderr


def test_retry_prints_the_new_id(edgeprof: Edgeprof) -> None:
    """One id a line, for the next command."""
    (job_id,) = edgeprof(
        "submit", "-m", "shakespeare-240k", "--platform", "x", "--wait-for-board", "--no-wait"
    ).stdout.split()
    edgeprof("cancel", job_id)

    done = edgeprof("retry", job_id)

    assert done.returncode == exits.OK, done.stderr
    assert json.loads(edgeprof("job", done.stdout.strip(), "--json").stdout)["state"] == "queued"


def test_dead_letters_are_a_list_of_their_own(edgeprof: Edgeprof) -> None:
    """--dead excludes --state: all of them failed."""
    assert json.loads(edgeprof("jobs", "--dead", "--json").stdout) == []
    assert edgeprof("jobs", "--dead", "--state", "failed").returncode == exits.USAGE


def test_drain_and_resume_by_name(edgeprof: Edgeprof) -> None:
    """A board nobody knows is an error with a hint; the plain command still lists."""
    refused = edgeprof("boards", "drain", "nobody")

    assert refused.returncode == exits.USAGE
    assert "no board 'nobody' in the lab" in refused.stderr
    assert edgeprof("boards", "resume", "nobody").returncode == exits.USAGE
    assert edgeprof("boards", "history", "nobody").returncode == exits.USAGE
    assert json.loads(edgeprof("boards", "--json").stdout) == []


def test_boards_that_are_gone_for_good_are_forgotten(
    edgeprof: Edgeprof, environment: dict[str, str]
) -> None:
    """A board that is gone can be forgotten, else it would be an alert for ever; one that is
    announced cannot."""
    owner = Owner(host="h", lock_domain="d", uid="b")
    with LabStore.open(Settings(redis_url=environment["EDGEPROF_REDIS_URL"])) as store:
        store.boards.announce(owner, null_board("gone"), 60)
        refused = edgeprof("boards", "forget", "gone")
        store.boards.withdraw(owner, null_board("gone"), "unplugged")

        done = edgeprof("boards", "forget", "gone")

        assert refused.returncode == exits.INFRASTRUCTURE
        assert "announces it" in refused.stderr
        assert done.returncode == exits.OK, done.stderr
        assert store.boards.all() == []


@pytest.mark.parametrize("columns", [80, 100, 120, 160])
def test_reason_is_seen_however_narrow_the_terminal(
    environment: dict[str, str], columns: int
) -> None:
    """A board that gets no jobs says why, in full: in the table, or below it where that is too
    wide."""
    board = null_board("native-0badc0de")
    reason = "flash tool /opt/tools/bin/st-flash is not installed"
    with LabStore.open(Settings(redis_url=environment["EDGEPROF_REDIS_URL"])) as store:
        store.boards.announce(Owner(host="h", lock_domain="d", uid="b"), board, 60)
        store.boards.cordon(board.device_id, BoardState.QUARANTINED, "test", reason)
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    narrow = {name: value for name, value in environment.items() if name != "COLUMNS"}
    subprocess.run(
        [*COMMAND, "boards"],
        env={**narrow, "NO_COLOR": "1"},
        stdout=theirs,
        stderr=theirs,
        timeout=60,
        check=True,
    )
    said = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)

    assert all(word in said for word in reason.split())
    assert "native-0badc0de" in said
