"""Which watched ports are there now.

The folder is listed twice a second: udev makes and removes the names in it within milliseconds, a listing of
it costs 20 us, and it works in containers too. Rejected: udev's own events (pyudev). They need netlink, which
containers do not have, and would be a second way to learn the same, with the listing still needed at start.
"""

from __future__ import annotations

import glob
import os
import time
from fnmatch import fnmatch
from pathlib import Path

from edgeprof.workers.config import Boards

_INTERVAL_S = 0.5


class Watcher:
    """The ports of `watch`, without `exclude` and without those that are driven by name."""

    def __init__(self, boards: Boards) -> None:
        self._boards = boards
        self._seen: frozenset[str] = frozenset()
        self._due_s = 0.0

    def ports(self) -> frozenset[str]:
        """Return the ports that are plugged in, at most half a second old."""
        if self._boards.watch and time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _INTERVAL_S
            self._seen = frozenset(self._list())
        return self._seen

    def _list(self) -> list[str]:
        fixed = {os.path.realpath(board.port) for board in self._boards.fixed}
        found: dict[str, str] = {}
        for pattern in self._boards.watch:
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute
                device = os.path.realpath(path)  # two names of one device are one port
                if device not in fixed and not self._excluded(path) and Path(device).exists():
                    found.setdefault(device, path)
        return list(found.values())

    def _excluded(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self._boards.exclude)
