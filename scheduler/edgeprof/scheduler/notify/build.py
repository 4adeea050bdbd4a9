"""Puts the notifier of a scheduler together, and runs it in a thread of its own.

A receiver that does not answer holds up neither the custodian nor a job.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.notify import mail, webhook
from edgeprof.scheduler.notify.composing import Composer
from edgeprof.scheduler.notify.event import Event
from edgeprof.scheduler.notify.metrics import NotifyMetrics
from edgeprof.scheduler.notify.notifier import Notifier, Send
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.scheduler.site.records import ArchivedJobs
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.notification import Asked
from edgeprof.shared.types.notify_address import NotifyAddress, Way
from edgeprof.shared.vital_threads import vital_thread

log = logging.getLogger(__name__)


def sender(settings: NotifySettings) -> Send:
    """Return what sends by the way that an address names."""

    def send(to: NotifyAddress, body: str, message_id: str, at_s: float) -> None:
        if to.way is Way.WEBHOOK:
            webhook.post(
                to.target,
                body,
                message_id,
                at_s,
                secret=settings.notify_secret,
                allowed=settings.allowed_hosts,
            )
        else:
            event = Event.model_validate_json(body)
            mail_from = settings.smtp_from or f"edgeprof@{socket.getfqdn()}"
            mail.send(
                settings.smtp_url,
                mail.message_of(event, message_id, mail_from, to.target, at_s),
            )

    return send


def notifier(
    store: LabStore,
    archive: ArchivedJobs,
    host: str,
    settings: NotifySettings,
    registry: CollectorRegistry,
) -> Notifier:
    """Return the notifier of a lab."""
    composer = Composer(store, archive, host)

    def compose(asked: Asked, at_s: float) -> str | None:
        event = composer.event(asked, at_s)
        return None if event is None else event.model_dump_json()

    return Notifier(store.notifications, compose, sender(settings), NotifyMetrics(registry))


class NotifierThread:
    """Ticks a notifier while its scheduler leads."""

    def __init__(
        self, ticks: Notifier, leading: Callable[[], bool], stop: threading.Event, pause_s: float
    ) -> None:
        self._notifier = ticks
        self._leading = leading
        self._stop = stop
        self._pause_s = pause_s
        self._told = Troubles(log)
        self._thread = vital_thread(self._run, "notifier", stop.is_set)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end of the last tick, but not for receivers that do not answer."""
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._stop.wait(self._pause_s):
            if not self._leading():
                continue
            try:
                self._notifier.tick()
            except Exception as error:  # noqa: BLE001 - later notifications must still be sent
                self._told.say("tick", f"notifications wait: {str(error) or type(error).__name__}")
            else:
                self._told.well("tick", "notifications are sent again")
