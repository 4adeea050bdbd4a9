"""As `python -m edgeprof.workers.worker`, with imaginary boards."""

from __future__ import annotations

import sys

from edgeprof.workers.testing.fake_job import carry_out, self_test
from edgeprof.workers.testing.null_worker import open_board
from edgeprof.workers.worker.serve import main

if __name__ == "__main__":
    sys.exit(main(open_board, carry_out, self_test))
