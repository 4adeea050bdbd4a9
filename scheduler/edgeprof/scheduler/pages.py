"""What the scheduler serves beside its metrics: service discovery for Prometheus, and its health."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Final

from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.metrics.endpoint import Page
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.store.lab import LabStore

#: The custodian ticks about once a second; silent for this many intervals, it is stuck.
_SILENT_INTERVALS: Final = 10


class Pulse:
    """When the custodian last ticked."""

    def __init__(self, interval_s: float) -> None:
        self._limit_s = max(10.0, _SILENT_INTERVALS * interval_s)
        self._last_s = time.monotonic()
        self.trouble = ""

    def beat(self, trouble: str = "") -> None:
        """Note a tick, and what went wrong in it."""
        self._last_s = time.monotonic()
        self.trouble = trouble

    @property
    def silent_s(self) -> float:
        """Seconds since the last tick."""
        return time.monotonic() - self._last_s

    @property
    def alive(self) -> bool:
        """Whether it ticks."""
        return self.silent_s < self._limit_s


def pages(store: LabStore, settings: Settings, pulse: Pulse) -> dict[str, Page]:
    """Return the scheduler's pages by path."""

    def health() -> tuple[str, str, bytes]:
        well = pulse.alive and not pulse.trouble
        body = {
            "status": "ok" if well else "unwell",
            "custodian_silent_s": round(pulse.silent_s, 3),
            "trouble": pulse.trouble,
            "host": settings.host,
        }
        return _json("200 OK" if well else "503 Service Unavailable", body)

    def targets(of_sessions: bool) -> Page:
        def page() -> tuple[str, str, bytes]:
            try:
                found = store.hosts.all()
            except EdgeprofError as error:
                # An error keeps Prometheus on the list it has; an empty list would make it forget.
                return _json("503 Service Unavailable", {"error": str(error)})
            return _json("200 OK", _target_groups(found, of_sessions=of_sessions))

        return page

    return {
        "/health": health,
        "/targets/tiny-llm-profiler": targets(of_sessions=True),
        "/targets/device-metrics": targets(of_sessions=False),
    }


def _target_groups(hosts: Sequence[HostInfo], *, of_sessions: bool) -> list[dict[str, object]]:
    """Return Prometheus' HTTP service discovery format."""
    return [
        {
            "targets": [info.sessions_address if of_sessions else info.devices_address],
            "labels": {"host": info.host},
        }
        for info in sorted(hosts, key=lambda info: info.sessions_address)
    ]


def _json(status: str, body: object) -> tuple[str, str, bytes]:
    return status, "application/json", json.dumps(body).encode()
