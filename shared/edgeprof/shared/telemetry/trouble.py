"""One trouble is one line in the log: said when it begins, again when it changes, and once when it ends."""

from __future__ import annotations

import logging
from typing import Final

#: Subjects that are remembered; beyond it the oldest is forgotten, and may be told twice.
_REMEMBERED: Final = 1000


class Troubles:
    """What was said last of each subject. Thread safe as far as it matters: a line may come twice."""

    def __init__(self, log: logging.Logger, level: int = logging.WARNING) -> None:
        self._log = log
        self._level = level
        self._said: dict[str, str] = {}

    def say(self, subject: str, trouble: str) -> bool:
        """Log the trouble of a subject unless that is what was said last; returns whether it was news."""
        if self._said.get(subject) == trouble:
            return False
        self._said[subject] = trouble
        if len(self._said) > _REMEMBERED:
            self._said.pop(next(iter(self._said)), None)
        self._log.log(self._level, "%s", trouble)
        return True

    def well(self, subject: str, relief: str = "") -> None:
        """Forget a subject's trouble; when there was one, say that it is over."""
        if self._said.pop(subject, None) is not None and relief:
            self._log.info("%s", relief)
