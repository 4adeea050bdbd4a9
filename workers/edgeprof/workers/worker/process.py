"""What an agent and its workers agree on: exit codes, environment variables, time to stop."""

from __future__ import annotations

import ctypes
from typing import Final

#: Tells a worker the process id of its fork server, so that it can notice that it is an orphan.
PARENT_PID_VARIABLE: Final = "EDGEPROF_PARENT_PID"
#: Tells a worker the exit code of the one before it, which has logged its trouble already.
LAST_END_VARIABLE: Final = "EDGEPROF_LAST_END"

#: The board is gone. The next worker waits for it to come back (EX_TEMPFAIL of sysexits).
EXIT_BOARD_GONE: Final = 75
#: Nothing of ours answers on a watched port, so leave it alone (EX_UNAVAILABLE).
EXIT_NOT_OURS: Final = 69
#: Redis is there, and no doorbell reaches this worker (EX_NOPERM).
EXIT_NO_DOORBELLS: Final = 77

#: How long a worker may take after its job's grace to hand the job back and withdraw.
#: Even on a busy machine, all workers have ended 2.5 s after the grace, Python's end included.
STOP_MARGIN_S: Final = 1.7

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when the thread that started it has ended."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number)
