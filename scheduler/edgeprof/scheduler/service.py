"""Runs the scheduler: custodian and timekeeper, metrics, HTTP pages, notifications."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.archiver import HoldsJobs, SaveJobs
from edgeprof.scheduler.custodian import Custodian
from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.scheduler.known_stores import KnownStores
from edgeprof.scheduler.metrics import CustodianMetrics, LabCollector
from edgeprof.scheduler.notify.build import NotifierThread, notifier
from edgeprof.scheduler.notify.of_schedules import tell_of_runs
from edgeprof.scheduler.notify.settings import NotifySettings
from edgeprof.scheduler.site.build import Announcer, site
from edgeprof.scheduler.site.records import ArchivedJobs
from edgeprof.scheduler.timekeeper import Listener, Timekeeper
from edgeprof.shared.errors import EdgeprofError, InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_gate import Gate, is_loopback

log = logging.getLogger(__name__)


def run_scheduler(
    settings: Settings,
    save: SaveJobs | None,
    stop: threading.Event,
    retention: Callable[[], None] = lambda: None,
    holds: HoldsJobs | None = None,
    archive: ArchivedJobs | None = None,
    on_run_ended: Sequence[Listener] = (),
) -> None:
    """Tick and serve until `stop` is set. A fault of Redis or the archive is logged once.

    With an `archive` to read there are pages for people, an API and notifications.

    `retention` is called after each tick, and deletes old jobs from the archive. `holds` returns
    whether the archive still has the jobs that it was given. `on_run_ended` is told how each run of
    a schedule ended. Raises InfrastructureError or UsageError when Redis does not answer at the
    start.
    """
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    liveness = Liveness(settings.custodian_interval_s)
    with ExitStack() as stack:
        store = LabStore.open(settings)
        stack.callback(store.close)
        known_stores = KnownStores(settings.data_dir)
        store.watch.known_id = known_stores.recall(store.url)
        registry.register(LabCollector(store, metrics))
        custodian = Custodian(store, settings, save, metrics, holds)
        custodian.start()
        listeners = [*on_run_ended, *([] if archive is None else [tell_of_runs(store)])]
        timekeeper = Timekeeper(store.schedules, settings, metrics, listeners)

        def then() -> None:
            if custodian.leading:
                timekeeper.tick(time.time())
            retention()

        endpoint = Endpoint(
            registry,
            settings.metrics_bind,
            settings.scheduler_port,
            pages(store, settings, liveness),
            Gate.of(settings),
            None if archive is None else site(store, archive, settings),
        )
        if settings.alerts_token is None and not is_loopback(settings.metrics_bind):
            log.warning(
                "/alerts on %s refuses alerts until EDGEPROF_ALERTS_TOKEN is set here and in"
                " Alertmanager",
                settings.metrics_bind,
            )
        stack.callback(endpoint.close)
        announcer = Announcer(store.script, settings, endpoint.port) if archive else None
        log.info(
            "%smetrics, /targets and /health on http://%s:%d",
            "" if archive is None else "pages, ",
            settings.advertised_address,
            endpoint.port,
        )
        stack.callback(_resign, custodian, timekeeper)
        if archive is not None:
            told = notifier(store, archive, settings.host, NotifySettings.read(), registry)
            pause_s = settings.custodian_interval_s
            thread = NotifierThread(told, lambda: custodian.leading, stop, pause_s)
            stack.callback(thread.join)
        while not stop.is_set():
            trouble = _tick(custodian, then, liveness.trouble)
            if announcer is not None:
                announcer.announce_when_due()
            dangers = store.watch.look_when_due()
            known_stores.keep(store.url, store.watch.known_id)
            metrics.store_looked_at({danger.kind for danger in dangers})
            liveness.beat(trouble, [danger.text for danger in dangers])
            stop.wait(settings.custodian_interval_s)


def _tick(custodian: Custodian, then: Callable[[], None], said: str) -> str:
    """Tick once; returns the fault or "". A fault is logged when it differs from `said`."""
    try:
        custodian.tick()
        then()
    except Exception as error:
        # Even after a bug, in an archive for example, jobs of dead workers must be requeued.
        trouble = str(error) or type(error).__name__
        if trouble != said:
            ours = isinstance(error, EdgeprofError)
            log.warning("custodian: %s; trying on", trouble, exc_info=not ours)
        return trouble
    if custodian.trouble:
        if custodian.trouble != said:
            log.warning("custodian: %s", custodian.trouble)
        return custodian.trouble
    if said:
        log.warning("custodian: it works again (before: %s)", said)
    return ""


def _resign(custodian: Custodian, timekeeper: Timekeeper) -> None:
    try:
        timekeeper.resign()
        custodian.resign()
    except InfrastructureError as error:
        log.warning("custodian: not resigned, the lock runs out by itself: %s", error)
