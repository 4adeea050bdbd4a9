"""Logs a lasting trouble in one line when it begins, one when it changes, and one when it ends."""

from __future__ import annotations

import logging
from typing import Final

#: Most subjects that are remembered; beyond it the oldest is forgotten, and may be logged twice.
_REMEMBERED: Final = 1000


class Troubles:
    """The last line about each subject. Threads may use it: at worst a line is logged twice."""

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log = log
        self._level = level
        self._said: dict[str, str] = {}

    def say(self, subject: str, trouble: str) -> bool:
        """Log a subject's trouble unless it was its last line; returns whether it was new."""
        if self._said.get(subject) == trouble:
            return False
        self._said[subject] = trouble
        if len(self._said) > _REMEMBERED:
            self._said.pop(next(iter(self._said)), None)
        self._log.log(self._level, "%s", trouble)
        return True

    def well(self, subject: str, relief: str = "") -> None:
        """Forget a subject's trouble; when there was one, log that it is over."""
        if self._said.pop(subject, None) is not None and relief:
            self._log.info("%s", relief)
