"""Which watched ports are there now, and how often one is looked at where no board of ours answers.

The folder is listed twice a second: udev makes and removes the names in it within milliseconds, a listing of
it costs 20 us, and it works in containers too. Rejected: udev's own events (pyudev). They need netlink, which
containers do not have, and would be a second way to learn the same, with the listing still needed at start.
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

#: A port is looked at again after the first pause, and each pause is twice the one before, up to so
#: many of the first. Where a board of ours was seen it is off, or being flashed, and jobs may wait
#: for it. Elsewhere it may be anybody's printer or modem, and opening a port is not free (DTR resets
#: an Arduino), but never is no answer either.
_LONGEST_WHERE_SEEN = 2
_LONGEST_ELSEWHERE = 20


class SeenPorts:
    """Watched ports on which a board of ours has answered, remembered by name in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: set[str] = set()
        with contextlib.suppress(OSError):
            self._seen = {unquote(path.name) for path in folder.iterdir()}

    def note(self, port: str) -> None:
        """A board of ours answered there."""
        if port not in self._seen:
            self._seen.add(port)
            with contextlib.suppress(
                OSError
            ):  # forgotten with this process: then it is looked at less often
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / quote(port, safe="")).touch()

    def look_again_s(self, port: str, looks: int, first_s: float) -> float:
        """Return how long the port is left alone after so many looks in vain, and one more."""
        longest = _LONGEST_WHERE_SEEN if port in self._seen else _LONGEST_ELSEWHERE
        return float(first_s * min(2 ** min(looks, 10), longest))


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
