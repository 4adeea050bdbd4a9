"""`python -m edgeprof.workers.worker CONFIG`: the process that an agent starts for each board.

CONFIG is the board's configuration as JSON.
"""

from __future__ import annotations

import sys

from edgeprof.shared.settings import load_settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.selftest.selftest import self_test
from edgeprof.workers.worker.fetch_and_profile import fetch_and_profile
from edgeprof.workers.worker.open_board import open_board
from edgeprof.workers.worker.serve import serve

if __name__ == "__main__":
    board = BoardConfig.model_validate_json(sys.argv[1])
    sys.exit(serve(board, load_settings(), open_board, fetch_and_profile, self_test))
