"""Every command that prints a table, on terminals of 80, 100 and 120 columns."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from edgeprof.client.lab import Lab
from edgeprof.scheduler.archive import Archive
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from tests.cli.conftest import COMMAND
from tests.support.board_infos import null_board
from tests.support.finished_job import finished_job

BOARD = "stm32f405-0badc0de0badc0de"
COMMANDS = (
    "boards", "jobs", "jobs --dead", "results", "models list", "models inspect shakespeare-240k",
    "models fits shakespeare-240k", f"boards history {BOARD}",
)  # fmt: skip


def on_terminal(environment: Mapping[str, str], width: int, *arguments: str) -> list[str]:
    """Return the lines that a command prints on a terminal of this width."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    own = {name: value for name, value in environment.items() if name != "COLUMNS"}
    with subprocess.Popen(
        [*COMMAND, *arguments], env={**own, "NO_COLOR": "1"}, stdout=theirs, stderr=subprocess.PIPE
    ) as process:
        os.close(theirs)
        said = b""
        try:
            while part := os.read(ours, 65536):
                said += part
        except OSError:  # the terminal's other end is closed: all is read
            pass
        os.close(ours)
        error = process.communicate()[1].decode()
    assert process.returncode == 0, error
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()).splitlines()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_fit_and_cut_nothing(
    environment: dict[str, str], tmp_path: Path, width: int
) -> None:
    """No line is wider than the terminal, and ids, states and speeds are there, whole."""
    settings = Settings(redis_url=environment["EDGEPROF_REDIS_URL"], data_dir=tmp_path / "data")
    with LabStore.open(settings) as store:
        owner = Owner(host="a-lab-host", lock_domain="d", uid="b")
        announced = null_board(BOARD)
        store.boards.announce(owner, announced, 60)
        store.boards.cordon(BOARD, BoardState.DRAINING, "user:ada", "a reason of some words")
    with Lab(settings=settings) as lab:
        job = lab.submit(
            "shakespeare-240k", quantization="Q8_0", platform="native", wait_for_board=True
        )
    view = finished_job()
    with Archive.open(settings) as archive:
        archive.save([view])

    printed = {name: on_terminal(environment, width, *name.split()) for name in COMMANDS}

    assert [line for lines in printed.values() for line in lines if len(line) > width] == []
    assert any(job.id in line and "queued" in line for line in printed["jobs"])
    assert any(BOARD in line and "drained" in line for line in printed["boards"])
    assert any("101.00 ± 1.00" in line for line in printed["results"])
    assert any(re.search(r"946\.31 KiB", line) for line in printed["models list"])
