"""The last log lines of each board's worker, kept in Redis so that they can be read from anywhere.

The whole log is in the files of the board's host. A stream holds the last lines of one board, also
after its worker has died; without a new line it is gone after two weeks, as those files are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pydantic_core
from redis import Redis

from edgeprof.shared.store.script import Script, stream_entries

#: Lines that are kept of a board. They are short, and a worker writes some a day.
KEPT_LINES: Final = 500
#: Longest line, in characters; a longer one is cut by its writer.
LONGEST_LINE: Final = 8192
_KEPT_S: Final = 14 * 86400


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line, with a cursor to ask for those after it."""

    cursor: str
    fields: dict[str, Any]


class BoardLogs:
    """The logs of all boards."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def append(self, device_id: str, lines: Sequence[str]) -> None:
        """Add lines of JSON to a board's log; the oldest make room."""
        self._script.call("log_board", device_id, KEPT_LINES, _KEPT_S, *lines[-KEPT_LINES:])

    def read(self, device_id: str, after: str = "0") -> list[LogLine]:
        """Return a board's lines after a cursor, oldest first; malformed ones are left out."""
        key = self._script.key(f"board:{device_id}:log")

        def ask(redis: Redis) -> Any:
            return redis.xread({key: after}, KEPT_LINES)

        found = []
        for cursor, named in stream_entries(self._script.guarded(ask)):
            line = named.get("line", "")
            if len(line) > LONGEST_LINE:
                continue
            try:
                fields = pydantic_core.from_json(line)
            except ValueError:
                continue
            if isinstance(fields, dict):
                found.append(LogLine(cursor, fields))
        return found
