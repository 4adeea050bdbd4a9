"""What an agent and its board workers agree on: how a worker ends, and what its environment tells it."""

from __future__ import annotations

from typing import Final

#: Tells a child who its agent is, so that it can notice that it is an orphan already.
AGENT_PID_VARIABLE: Final = "EDGEPROF_AGENT_PID"

#: How a worker ends when its board is gone: start it again, and it waits for the board (EX_TEMPFAIL of sysexits).
EXIT_BOARD_GONE: Final = 75
#: How a worker ends when nothing of ours answers on a watched port (EX_UNAVAILABLE of sysexits).
EXIT_NOT_OURS: Final = 69
#: Tells a worker how the one before it ended: what that one has said need not be said again.
LAST_END_VARIABLE: Final = "EDGEPROF_LAST_END"

#: How long a worker may take to leave beyond the grace of its running job: handing it back, saying goodbye.
#: With the end of Python, all are gone 2.5 s after it on a busy machine too.
STOP_MARGIN_S: Final = 1.7
