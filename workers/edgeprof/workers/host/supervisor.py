"""Keeps one process alive: starts it, starts it again with growing pauses, stops it."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from typing import Protocol

from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.workers.worker.process import EXIT_BOARD_GONE, EXIT_NOT_OURS

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0
#: A process that lived so long was well, and its next pause is the first one again.
_HEALTHY_S = 30.0


class Process(Protocol):
    """What is used of a process; subprocess.Popen has it, too."""

    pid: int

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once there is one. Raises subprocess.TimeoutExpired."""

    def terminate(self) -> None:
        """Ask the process to end."""

    def kill(self) -> None:
        """End the process at once."""


class Supervised:
    """A process that runs until it is retired or waited for."""

    def __init__(
        self,
        name: str,
        start: Callable[[int | None], Process],
        *,
        on_end: Callable[[], None] = lambda: None,
        retry_after_s: Callable[[int], float] | None = None,
    ) -> None:
        """`start` gets the exit code of the process before, if there was one; it raises OSError.

        `on_end` is called whenever the process has ended, by itself or not.

        `retry_after_s` returns the pause before the port is tried again, after the n-th
        EXIT_NOT_OURS in a row.
        """
        self.name = name
        self._on_end = on_end
        self._retry_after_s = retry_after_s
        self._tries_in_vain = 0
        self._last_code: int | None = None
        self._retired = False
        self._start_process = start
        self._process: Process | None = None
        self._started_s = 0.0
        self._start_at_s = 0.0
        self._pause_s = _FIRST_PAUSE_S
        self._told = Troubles(log)

    @property
    def pid(self) -> int | None:
        """The id of the running process."""
        return self._process.pid if self._process else None

    def tend(self) -> None:
        """Start the process when it is time, and note its end. Call this several times a second."""
        now = time.monotonic()
        if self._process is None:
            if now >= self._start_at_s and not self._retired:
                self._start(now)
            return
        code = self._process.poll()
        if code is None:
            return
        if self._retired:
            self._process = None
            self._on_end()
            return
        lived_long = now - self._started_s > _HEALTHY_S
        if lived_long or code == EXIT_BOARD_GONE:
            self._pause_s = _FIRST_PAUSE_S  # nothing is wrong with the worker
        if code == EXIT_NOT_OURS and self._retry_after_s is not None:
            pause_s = self._retry_after_s(self._tries_in_vain)
            self._tries_in_vain += 1
        else:
            pause_s, self._tries_in_vain = self._pause_s, 0
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        # A worker that keeps ending in the same way is one trouble, and is logged once.
        news = code != self._last_code or (lived_long and code != EXIT_NOT_OURS)
        self._tell(code, pause_s, logging.WARNING if news else logging.DEBUG)
        self._last_code = code
        self._process = None
        self._on_end()
        self._start_at_s = now + pause_s

    def _tell(self, code: int, pause_s: float, level: int) -> None:
        if code == EXIT_NOT_OURS:
            log.log(
                level,
                "%s: nothing there speaks our protocol; left alone for %.0f s, then looked at"
                " again, ever less often",
                self.name,
                pause_s,
            )
        elif code == EXIT_BOARD_GONE:
            log.log(level, "board %s is gone; its worker waits for it to come back", self.name)
        else:
            how = f"signal {-code}" if code < 0 else f"exit {code}"
            log.log(
                level,
                "worker of board %s ended (%s); starting it again in %.1f s, and with longer pauses"
                " if that goes on",
                self.name,
                how,
                pause_s,
            )

    def retire(self) -> None:
        """End the process, and do not start it again: its port is gone."""
        if not self._retired:
            self._retired = True
            self.terminate()

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, deadline_s: float) -> None:
        """Wait for the end until a monotonic time, then kill the process."""
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
        try:
            self._process = self._start_process(self._last_code)
        except OSError as error:  # out of memory, processes or files; other workers go on
            self._told.say("start", f"worker of board {self.name} not started: {error.strerror}")
            self._start_at_s = now + self._pause_s
            self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
        else:
            self._told.well("start", f"worker of board {self.name} started")
