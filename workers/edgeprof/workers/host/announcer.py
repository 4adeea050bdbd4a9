"""Announces this host and its metric endpoints to the lab, and checks that Redis keeps jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import HostClash, HostInfo
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.vital_threads import vital_thread

log = logging.getLogger(__name__)

_INTERVAL_S = 5.0


class Announcer:
    """A thread of the agent. It waits while Redis is away; Prometheus keeps what it knows."""

    def __init__(self, settings: Settings, info: Callable[[], HostInfo]) -> None:
        """`info` returns what is to be announced now."""
        self._settings = settings
        self._info = info
        self._done = threading.Event()
        self._thread = vital_thread(self._keep, "announcer", self._done.is_set)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _keep(self) -> None:
        store: LabStore | None = None
        while True:
            try:
                if store is None:
                    store = LabStore.open(self._settings)
                    store.hosts.sweep_dead(self._info().host)
                store.hosts.announce(self._info())
                store.watch.look_when_due()
                if self._done.wait(_INTERVAL_S):
                    store.hosts.withdraw(self._info())
                    break
            except HostClash as clash:
                # A user's trouble, not a bug of ours.
                log.error("%s; %s", clash, clash.hint)  # noqa: TRY400
                if self._done.wait(_INTERVAL_S):
                    break
            except InfrastructureError as error:
                log.debug("not announced: %s", error)
                if self._done.wait(_INTERVAL_S):
                    break
        if store is not None:
            store.close()
