"""Says how long jobs will take as they are submitted, from the newest jobs of the store."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from edgeprof.client.durations import History, expected
from edgeprof.client.planning import Planned
from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.types.job import Expected
from edgeprof.shared.types.result import JobView

log = logging.getLogger(__name__)

#: A program that submits all day reads the newest jobs again so often; so soon where there is none.
_KEPT_S: Final = 300.0
_NONE_KEPT_S: Final = 5.0


class Foresight:
    """What is expected of jobs. It never stops a submission: without history it knows nothing."""

    def __init__(self, newest: Callable[[], Sequence[JobView]]) -> None:
        """newest: returns jobs that have succeeded. Raises EdgeprofError without the store."""
        self._newest = newest
        self._history = History([])
        self._until_s = 0.0

    def of(self, planned: Sequence[Planned]) -> list[Expected | None]:
        """Return what is expected of each job; the same object many times is looked at once."""
        if time.monotonic() > self._until_s:
            newest: Sequence[JobView] = ()
            try:
                newest = self._newest()
                self._history = History(newest)
            except EdgeprofError as error:
                log.debug("how long jobs take is not known: %s", error)
            self._until_s = time.monotonic() + (_KEPT_S if newest else _NONE_KEPT_S)
        alike = {id(plan): plan for plan in planned}
        found = {key: expected(plan, self._history) for key, plan in alike.items()}
        return [found[id(plan)] for plan in planned]
