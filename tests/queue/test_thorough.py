"""`edgeprof boards test --thorough`: a report on a board, line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.description import describe
from edgeprof.workers.selftest.thorough import Finding, examine
from edgeprof.workers.testing.fake_board import FakeBoard
from tests.support.null_lab import Rig
from tests.support.pty_board import PtyBoard

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"


def edgeprof(rig: Rig, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeprof.cli", *arguments],
        env={**os.environ, **rig.settings.as_environment()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.e2e
def test_report_of_a_sound_board(rig: Rig, tmp_path: Path) -> None:
    """Each rate of its line, memory, every kernel and the clock; then it takes jobs again."""
    with PtyBoard(tmp_path, "0077", 0) as board:
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, "--board", str(board.path)],
            env={**os.environ, **rig.settings.as_environment()},
        )
        rig.adopt(agent)
        rig.until_board("native-0077", BoardState.ONLINE)

        done = edgeprof(rig, "boards", "test", "native-0077", "--thorough", "--json")
        shown = edgeprof(rig, "boards", "test", "native-0077", "--thorough")

        assert (done.returncode, shown.returncode) == (0, 0), done.stderr + shown.stderr
        rig.until_board("native-0077", BoardState.ONLINE)
    report = json.loads(done.stdout)
    outcomes = {each["check"]: each["outcome"] for each in report["findings"]}
    assert {"line at 115200 baud", "memory", "clock"} <= set(outcomes)
    assert {f"kernel {name}" for name in ("F32", "F16", "Q8_0", "Q4_0", "TQ2_0")} <= set(outcomes)
    assert set(outcomes.values()) == {"ok"}
    assert "| board | native-0077 |" in shown.stdout
    assert "| kernel Q4_0 | ok | 16 tokens equal the host's, " in shown.stdout


@pytest.mark.e2e
def test_sick_board_stays_out(rig: Rig) -> None:
    """A board whose RAM forgets is told with the address, and gets no jobs any more."""
    sick = rig.settings.data_dir / "sick"
    rig.start_worker("01", f"&sick={sick}")
    rig.until_board("null-01", BoardState.ONLINE)
    sick.parent.mkdir(parents=True, exist_ok=True)
    sick.touch()

    done = edgeprof(rig, "boards", "test", "null-01", "--thorough")

    assert done.returncode == 1
    assert "| memory | FAILED | " in done.stdout
    (board,) = rig.store.boards.all()
    assert board.state is BoardState.QUARANTINED


def findings(board: FakeBoard, settings: Settings, **more: Callable[[], None]) -> list[Finding]:
    info = describe(board.hello, BoardConfig(url="null://"), settings)
    epochs = iter(range(1, 1000))
    stop = more.get("check_stop", lambda: None)
    return list(
        examine(board, info, clock_s=0.01, next_epoch=lambda: next(epochs), check_stop=stop)
    )


def test_worker_that_stops_ends_the_test(settings: Settings) -> None:
    """No check begins once the worker is to end."""

    def stop() -> None:
        raise EdgeprofError("its worker stopped")

    with pytest.raises(EdgeprofError, match="stopped"):
        findings(FakeBoard(), settings, check_stop=stop)
