"""`python -m edgeprof.workers.worker CONFIG`: the worker process of one board, or a fork server.

CONFIG is the board's configuration as JSON. An agent starts a fork server (fork_server.py).
"""

from __future__ import annotations

import sys

from edgeprof.workers.selftest.selftest import self_test
from edgeprof.workers.worker.fetch_and_profile import fetch_and_profile
from edgeprof.workers.worker.open_board import open_board
from edgeprof.workers.worker.serve import main

if __name__ == "__main__":
    sys.exit(main(open_board, fetch_and_profile, self_test))
