"""Tells a backlog that is worked off from one that stands still."""

from __future__ import annotations

import time


class Backlog:
    """Finished jobs that wait for the archive."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._least = 0
        self._since_s = time.monotonic()
        self.trouble = ""

    def look(self, waiting: int) -> None:
        """Take in how many wait now; `trouble` says so when they have not become fewer for too long."""
        now_s = time.monotonic()
        if waiting == 0 or waiting < self._least or self._least == 0:
            self._least, self._since_s = waiting, now_s
        still_s = now_s - self._since_s
        self.trouble = ""
        if still_s >= self._patience_s:
            self.trouble = "finished jobs wait for the archive, and become no fewer"
