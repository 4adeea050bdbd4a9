"""The scheduler's HTTP pages: health, service discovery, a webhook for alerts, runbooks."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import BaseModel, Field, ValidationError

from edgeprof.scheduler.runbooks import runbook_pages
from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.endpoint import Page
from edgeprof.shared.telemetry.http_answer import Answer
from edgeprof.shared.telemetry.http_posts import Post

#: Logs the alerts that Alertmanager posts, among the lab's other lines.
alerts = logging.getLogger("profiler.alerts")

#: A custodian that has not ticked for so many of its intervals is stuck.
_SILENT_INTERVALS: Final = 10


class Liveness:
    """Whether the custodian ticks, and the faults of its last tick."""

    def __init__(self, interval_s: float) -> None:
        self._limit_s = max(10.0, _SILENT_INTERVALS * interval_s)
        self._last_s = time.monotonic()
        self.trouble = ""
        self.dangers: Sequence[str] = ()

    def beat(self, trouble: str = "", dangers: Sequence[str] = ()) -> None:
        """Note a tick: its fault, and the reasons why Redis may lose jobs without a fault."""
        self._last_s = time.monotonic()
        self.trouble, self.dangers = trouble, dangers

    @property
    def silent_s(self) -> float:
        """Seconds since the last tick."""
        return time.monotonic() - self._last_s

    @property
    def alive(self) -> bool:
        """Whether the last tick is recent."""
        return self.silent_s < self._limit_s


def pages(store: LabStore, settings: Settings, liveness: Liveness) -> dict[str, Page | Post]:
    """Return the scheduler's pages by path."""

    def health(_body: bytes) -> Answer:
        well = liveness.alive and not liveness.trouble
        body = {
            "status": "unwell" if not well else "in danger" if liveness.dangers else "ok",
            "custodian_silent_s": round(liveness.silent_s, 3),
            "trouble": liveness.trouble,
            "dangers": list(liveness.dangers),
            "host": settings.host,
        }
        return _json("200 OK" if well else "503 Service Unavailable", body)

    def targets(of_sessions: bool) -> Page:
        def page(_body: bytes) -> Answer:
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
        "/alerts": Post(_log_alerts, "EDGEPROF_ALERTS_TOKEN", settings.alerts_token),
        **runbook_pages(),
    }


class _Alert(BaseModel):
    status: str
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)


class _Notification(BaseModel):
    """The part of Alertmanager's webhook format, version 4, that is logged."""

    alerts: Annotated[list[_Alert], Field(max_length=1000)]


def _log_alerts(body: bytes) -> Answer:
    """Write a line for each alert that fires or is resolved."""
    try:
        notification = _Notification.model_validate_json(body)
    except ValidationError:
        return _json("400 Bad Request", {"error": "not what Alertmanager posts"})
    for alert in notification.alerts:
        firing = alert.status == "firing"
        alerts.log(
            logging.WARNING if firing else logging.INFO,
            "%s %s: %s",
            alert.labels.get("alertname", "alert"),
            alert.status,
            alert.annotations.get("summary", ""),
            extra={"alert": alert.labels, "runbook_url": alert.annotations.get("runbook_url")},
        )
    return _json("200 OK", {})


def _target_groups(hosts: Sequence[HostInfo], *, of_sessions: bool) -> list[dict[str, object]]:
    """Return Prometheus' HTTP service discovery format."""
    return [
        {
            "targets": [info.sessions_address if of_sessions else info.devices_address],
            "labels": {"host": info.host},
        }
        for info in sorted(hosts, key=lambda info: info.sessions_address)
    ]


def _json(status: str, body: object) -> Answer:
    return status, "application/json", json.dumps(body).encode()
