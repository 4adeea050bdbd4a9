"""Logs what a board says beside its frames: its boot text, a print, the report of a crash.

Bytes that are no frame are noise or text. Text goes into the log, a few lines a minute: a board
that never stops printing must not fill it.
"""

from __future__ import annotations

import logging
import re
import time
from typing import Final

from edgeprof.shared.sanitize import one_line

log = logging.getLogger(__name__)

_TEXT: Final = re.compile(rb"[\x20-\x7e\t]{4,}")
#: Chunks with a smaller share of text are frames that the line has damaged.
_LEAST_SHARE: Final = 0.8
#: Lines that are logged in a minute.
_LINES: Final = 40
_LONGEST_LINE: Final = 200


class StrayText:
    """The text of one board, as it comes between two frames."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._left = _LINES
        self._minute_s = 0.0

    def heard(self, data: bytes) -> None:
        """Log the text in bytes that are no frame, if they are text."""
        lines = _TEXT.findall(data)
        if not data or sum(map(len, lines)) + data.count(b"\n") < _LEAST_SHARE * len(data):
            return
        if time.monotonic() - self._minute_s > 60:
            self._minute_s, self._left = time.monotonic(), _LINES
        for line in lines:
            if self._left > 0:
                said = one_line(line.decode("ascii").strip(), _LONGEST_LINE)
                log.info("%s: the board says: %s", self._name, said)
            elif self._left == 0:
                log.info("%s: the board says more, which is not logged", self._name)
            self._left -= 1
