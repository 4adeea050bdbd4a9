"""A worker process whose board is imaginary; its only argument is the board as JSON."""

from __future__ import annotations

import sys

from edgeprof.shared.settings import load_settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.testing.fake_job import carry_out, self_test
from edgeprof.workers.testing.null_worker import open_board
from edgeprof.workers.worker.serve import serve

if __name__ == "__main__":
    board = BoardConfig.model_validate_json(sys.argv[1])
    sys.exit(serve(board, load_settings(), open_board, carry_out, self_test))
