"""Finds the watched ports that are plugged in, and how long one without a board is left alone.

The folder is listed twice a second. udev makes and removes the names in it within milliseconds, a
listing costs 20 us, and it works in containers too. udev's own events (pyudev) were rejected: they
need netlink, which containers do not have, and the listing would still be needed at the start.
"""

from __future__ import annotations

import contextlib
import glob
import os
import time
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote, unquote

from edgeprof.workers.board.config import Boards

_INTERVAL_S = 0.5

#: A port is opened again after a first pause, and each pause is twice as long as the one before, up
#: to this many first pauses. Where a board of ours was seen, it may be off or in the hands of a
#: flash tool, and jobs may wait for it. Elsewhere it may be a printer or a modem, and opening a
#: port is not free (DTR resets an Arduino), but it has to be tried some time.
_LONGEST_WHERE_SEEN = 2
_LONGEST_ELSEWHERE = 20


class SeenPorts:
    """The watched ports on which a board of ours has answered, remembered by name in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        with contextlib.suppress(OSError):
            self._seen = {unquote(path.name) for path in folder.iterdir()}

    def note(self, port: str) -> None:
        """Remember that a board of ours answered on the port."""
        if port not in self._seen:
            self._seen.add(port)
            # Without the folder the port is forgotten with this process, and tried less often then.
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / quote(port, safe="")).touch()

    def retry_after_s(self, port: str, tries: int, first_s: float) -> float:
        """Return how long to leave the port alone after `tries` + 1 tries in vain."""
        longest = _LONGEST_WHERE_SEEN if port in self._seen else _LONGEST_ELSEWHERE
        return float(first_s * min(2 ** min(tries, 10), longest))


class Watcher:
    """Lists the ports of `watch`, without `exclude` and without ports that have a [[board]]."""

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
        left_out = {os.path.realpath(board.port) for board in self._boards.fixed}
        found: dict[str, str] = {}
        for pattern in self._boards.watch:
            for path in sorted(glob.glob(pattern)):  # noqa: PTH207 - absolute
                device = os.path.realpath(path)  # two names of one device are one port
                if self._excluded(path):
                    left_out.add(device)  # by its other names, too
                elif Path(device).exists():
                    found.setdefault(device, path)
        return [path for device, path in found.items() if device not in left_out]

    def _excluded(self, path: str) -> bool:
        return any(fnmatch(path, pattern) for pattern in self._boards.exclude)
