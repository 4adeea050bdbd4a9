"""A board whose port is shared over TCP: jobs, and a connection that is cut under one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.client import Lab
from edgeprof.shared.models import catalogue
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from tests.support.null_lab import Rig
from tests.support.port_servers import PyserialServer, Ser2net, until_there
from tests.support.pty_board import PtyBoard

pytestmark = pytest.mark.e2e

AGENT = "import typer; from edgeprof.workers.cli import worker; typer.run(worker)"
MODEL = min(catalogue.bundled(), key=lambda name: catalogue.bundled()[name].stat().st_size)


@pytest.mark.parametrize("scheme", ["rfc2217", "socket"])
@pytest.mark.parametrize("server", [Ser2net, PyserialServer])
def test_job_outlives_a_connection_that_is_cut(
    rig: Rig, tmp_path: Path, free_port: Callable[[], int], server: Any, scheme: str
) -> None:
    """The attempt ends as a link fault, the board comes back, and the job succeeds there."""
    rig.start_scheduler()
    port = free_port()
    with (
        PtyBoard(tmp_path, "00aa", 115200 if scheme == "rfc2217" else 0) as board,
        server(str(board.path), port, tmp_path, telnet=scheme == "rfc2217") as serving,
    ):
        until_there(port)
        agent = subprocess.Popen(
            [sys.executable, "-c", AGENT, "--board", f"{scheme}://127.0.0.1:{port}"],
            env={**os.environ, **rig.settings.as_environment()},
        )
        try:
            rig.wait_until(
                lambda: [b.state for b in rig.store.boards.all()] == [BoardState.ONLINE],
                "the board is online",
                timeout_s=60,
            )
            with Lab(settings=rig.settings) as lab:
                job = lab.submit(
                    MODEL, platform="native", n_prompt=100, n_gen=100, repetitions=20,
                    check_output=False,
                )  # fmt: skip
                rig.until_running(job)
                serving.cut()
                view = job.wait(timeout=120)
        finally:
            agent.terminate()
            assert agent.wait(30) == 0

    assert view.state is JobState.SUCCEEDED, view.reason
    assert view.attempts[0].fault_class == "link"
    assert len(view.attempts) == 2
