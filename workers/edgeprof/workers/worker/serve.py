"""Be the worker of one board in this process, and end when the agent dies."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from edgeprof.shared import private_files
from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import logs
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.health import SelfTest
from edgeprof.workers.board.reopenable_board import OpenBoard
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker.consumer import CarryOut
from edgeprof.workers.worker.lifecycle import BoardWorker
from edgeprof.workers.worker.process import AGENT_PID_VARIABLE

_PR_SET_PDEATHSIG = 1


def serve(
    config: BoardConfig,
    settings: Settings,
    open_board: OpenBoard,
    carry_out: CarryOut,
    self_test: SelfTest,
) -> int:
    """Drive the board until the worker has to stop; returns the exit code."""
    telemetry = Sender.inherited()
    die_with_parent()
    private_files.umask_of_a_service()
    logs.configure(settings, "edgeprof-worker")
    worker_board = WorkerBoard(config, settings, open_board, telemetry)
    return BoardWorker(config, settings, worker_board, carry_out, self_test).run()


def die_with_parent() -> None:
    """Have the kernel stop us when the agent dies, however it dies: no orphan may keep a board."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    agent = os.environ.get(AGENT_PID_VARIABLE)
    if agent is not None and int(agent) != os.getppid():
        sys.exit(0)  # it died before we asked
