"""Keep one process alive: start it, start it again with growing pauses, stop it."""

from __future__ import annotations

import logging
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

log = logging.getLogger(__name__)

#: Tells a child who its agent is, so that it can notice that it is an orphan already.
AGENT_PID_VARIABLE: Final = "EDGEPROF_AGENT_PID"

#: How a worker ends when its board is gone: start it again, and it waits for the board (EX_TEMPFAIL of sysexits).
EXIT_BOARD_GONE: Final = 75
#: How a worker ends when what answers on a watched port is no board of ours (EX_UNAVAILABLE of sysexits).
EXIT_NOT_OURS: Final = 69

#: How long a worker may take to leave beyond the grace of its running job: handing it back, saying goodbye.
STOP_MARGIN_S: Final = 1.5

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: A process that lived so long was well; its next pause is the first one again.
_HEALTHY_S = 30.0


class Supervised:
    """A child process that is to run until stop().

    Start it from the main thread: the child asks the kernel to be told when its parent *thread* dies.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        pass_fds: Sequence[int] = (),
        on_end: Callable[[], None] = lambda: None,
        final_code: int | None = None,
    ) -> None:
        """on_end is called whenever the process has ended, by itself or not; after final_code it stays so."""
        self.name = name
        self._pass_fds = tuple(pass_fds)
        self._on_end = on_end
        self._final_code = final_code
        self._retired = False
        self._command = list(command)
        agent = {AGENT_PID_VARIABLE: str(os.getpid())}
        self._environment = {**os.environ, **environment, **agent}
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._start_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        """The running process' id."""
        return self._process.pid if self._process else None

    def tend(self) -> None:
        """Start the process when it is time; note its end. Call this some times a second."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at_s and not self._retired:
                self._start(now)
            return
        code = self._process.poll()
        if code is None:
            return
        if now - self._started_s > _HEALTHY_S or code == EXIT_BOARD_GONE:
            self._pause_s = _FIRST_PAUSE_S  # nothing is wrong with the worker
        if code == self._final_code:
            self._retired = True
        if self._retired:
            self._process = None
            self._on_end()
            return
        log.warning(
            "worker of board %s ended (%s); starting it again in %.1f s",
            self.name,
            f"signal {-code}" if code < 0 else f"exit {code}",
            self._pause_s,
        )
        self._process = None
        self._on_end()
        self._start_at_s = now + self._pause_s
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)

    def retire(self) -> None:
        """Do not start it again: its port is gone. What runs is asked to end, by itself or now."""
        if not self._retired:
            self._retired = True
            self.terminate()

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline_s: float) -> None:
        """Wait for the end until a monotonic time, then kill."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("worker of %s does not stop; killing it", self.name)  # noqa: TRY400
            self._process.kill()
            self._process.wait()
        self._process = None
        self._on_end()

    def _start(self, now: float) -> None:
        self._started_s = now
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            pass_fds=self._pass_fds,
            start_new_session=True,  # Ctrl-C is for the agent; it tells the workers in its own way
        )
