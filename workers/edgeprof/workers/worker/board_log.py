"""Keeps the last lines of this worker's log in Redis, for `edgeprof boards log`.

Whoever logs a line only puts it into a queue. A thread writes what a second has gathered, so that
no job waits for Redis, and an idle worker sends nothing. What the queue cannot take is counted.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from datetime import UTC, datetime
from typing import Any, Final

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.store.board_logs import KEPT_LINES, LONGEST_LINE, BoardLogs
from edgeprof.shared.telemetry import logs

#: How long lines are gathered before they are written.
_GATHER_S: Final = 1.0
#: Pause before the next try while Redis is away.
_AGAIN_S: Final = 5.0
#: Longest text of one field; of a longer one, such as a traceback, the end is kept.
_LONGEST_FIELD: Final = 2000
_LEAST: Final = ("timestamp", "level", "logger", "message")


class BoardLog(logging.Handler):
    """The queue between this process' log and Redis. Lines wait until the board is known."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._formatter = logging.Formatter()
        self._waiting: deque[str] = deque(maxlen=KEPT_LINES)
        self._lost = 0
        self._news = threading.Event()
        self._over = threading.Event()
        self._writing = threading.Lock()
        self._to: tuple[BoardLogs, str] | None = None

    @classmethod
    def install(cls) -> BoardLog:
        """Take every line that this process logs from now on."""
        made = cls()
        logging.getLogger().addHandler(made)
        return made

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; never an error."""
        try:
            line = _line(logs.fields_of(record, self._formatter))
        except Exception:  # noqa: BLE001 - a value that cannot become text; files say so
            self._lost += 1
            return
        self._lost += len(self._waiting) == KEPT_LINES
        self._waiting.append(line)
        self._news.set()

    def start(self, to: BoardLogs, device_id: str) -> None:
        """Write what waits and what comes to a board's log, until end()."""
        self._to = to, device_id
        threading.Thread(target=self._run, name="board log", daemon=True).start()

    def end(self) -> None:
        """Write what waits, and no more."""
        self._over.set()
        self._news.set()
        if self._to is not None:
            self.write(*self._to)

    def write(self, to: BoardLogs, device_id: str) -> bool:
        """Write what waits to a board's log; False: Redis is away, and it waits on."""
        with self._writing:
            taken = [self._waiting.popleft() for _ in range(len(self._waiting))]
            lost, self._lost = self._lost, 0
            if not taken and not lost:
                return True
            try:
                to.append(device_id, [_lost_line(lost), *taken] if lost else taken)
            except InfrastructureError:
                with self.lock or threading.Lock():
                    newer = list(self._waiting)
                    self._waiting.clear()
                    self._waiting.extend(taken + newer)
                    self._lost += lost + max(0, len(taken) + len(newer) - KEPT_LINES)
                return False
        return True

    def _run(self) -> None:
        assert self._to is not None
        while not self._over.is_set():
            self._news.wait()
            if self._over.wait(_GATHER_S):
                return  # end() writes the rest
            self._news.clear()
            if not self.write(*self._to):
                self._over.wait(_AGAIN_S)
                self._news.set()


def _line(fields: dict[str, Any]) -> str:
    """Return a line of JSON of a bounded length."""
    cut = {
        key: value[-_LONGEST_FIELD:] if isinstance(value, str) else value
        for key, value in fields.items()
    }
    line = logs.as_json(cut)
    if len(line) > LONGEST_LINE:
        line = logs.as_json({key: str(cut[key])[-_LONGEST_FIELD:] for key in _LEAST})
    return line[:LONGEST_LINE]


def _lost_line(count: int) -> str:
    now = datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds")
    said = f"{count} line(s) are not in this log: they came faster than Redis took them"
    return _line({"timestamp": now, "level": "WARNING", "logger": __name__, "message": said})
