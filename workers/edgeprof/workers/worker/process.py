"""What an agent and its workers agree on: exit codes, environment variables, time to stop."""

from __future__ import annotations

from typing import Final

#: Tells a worker its agent's process id, so that it can notice that it is an orphan already.
AGENT_PID_VARIABLE: Final = "EDGEPROF_AGENT_PID"
#: Tells a worker the exit code of the one before it, which has logged its trouble already.
LAST_END_VARIABLE: Final = "EDGEPROF_LAST_END"

#: The board is gone. The next worker waits for it to come back (EX_TEMPFAIL of sysexits).
EXIT_BOARD_GONE: Final = 75
#: Nothing of ours answers on a watched port, so leave it alone (EX_UNAVAILABLE).
EXIT_NOT_OURS: Final = 69
#: Redis is there, and no doorbell reaches this worker (EX_NOPERM).
EXIT_NO_DOORBELLS: Final = 77

#: How long a worker may take to leave beyond the grace of its job: to hand it back, to withdraw.
#: With the end of Python, all workers are gone 2.5 s after the grace on a busy machine too.
STOP_MARGIN_S: Final = 1.7
