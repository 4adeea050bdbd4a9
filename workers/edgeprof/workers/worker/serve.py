"""Be the worker of one board in this process, and end when the parent process dies."""

from __future__ import annotations

import os
import signal
import sys

from edgeprof.shared import private_files
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.telemetry import logs
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.health import SelfTest
from edgeprof.workers.board.reopenable_board import OpenBoard
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker import fork_server
from edgeprof.workers.worker.consumer import CarryOut
from edgeprof.workers.worker.lifecycle import BoardWorker
from edgeprof.workers.worker.process import PARENT_PID_VARIABLE, end_with_parent


def main(open_board: OpenBoard, carry_out: CarryOut, self_test: SelfTest) -> int:
    """Serve the board of the only argument, or as a fork server have others do it."""
    settings = load_settings()
    config = sys.argv[1]
    if config == fork_server.PLACE_FOR_CONFIG:
        forked = fork_server.next_worker()
        if forked is None:
            return 0
        config = forked
    board = BoardConfig.model_validate_json(config)
    return serve(board, settings, open_board, carry_out, self_test)


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
    """Have the kernel stop us when the parent dies, however it dies: no orphan keeps a board."""
    end_with_parent(signal.SIGTERM)
    parent = os.environ.get(PARENT_PID_VARIABLE)
    if parent is not None and int(parent) != os.getppid():
        sys.exit(0)  # it died before we asked
