"""`edgeprof scheduler`, without the command line: custodian, lab metrics and service discovery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.archiver import HoldsJobs, SaveJobs
from edgeprof.scheduler.custodian import Custodian
from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.scheduler.known_stores import KnownStores
from edgeprof.scheduler.metrics import CustodianMetrics, LabCollector
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
) -> None:
    """Tick and serve until `stop` is set. Redis or the archive being away is waited out, and said once.

    `retention` is called after each tick, to delete a little of what is old; `holds` tells an archive
    that has lost what was given to it. Raises InfrastructureError or UsageError when Redis is not there at the start.
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
        endpoint = Endpoint(
            registry,
            settings.metrics_bind,
            settings.scheduler_port,
            pages(store, settings, liveness),
            Gate.of(settings),
        )
        if settings.alerts_token is None and not is_loopback(settings.metrics_bind):
            log.warning(
                "/alerts on %s refuses alerts until EDGEPROF_ALERTS_TOKEN is set here and in Alertmanager",
                settings.metrics_bind,
            )
        stack.callback(endpoint.close)
        log.info(
            "metrics, /targets and /health on http://%s:%d",
            settings.advertised_address,
            endpoint.port,
        )
        stack.callback(_resign, custodian)
        while not stop.is_set():
            trouble = _tick(custodian, retention, liveness.trouble)
            dangers = store.watch.look_when_due()
            known_stores.keep(store.url, store.watch.known_id)
            metrics.store_looked_at({danger.kind for danger in dangers})
            liveness.beat(trouble, [danger.text for danger in dangers])
            stop.wait(settings.custodian_interval_s)


def _tick(custodian: Custodian, retention: Callable[[], None], said: str) -> str:
    """Let the custodian do what is due; returns what is wrong, which is logged when it is new."""
    try:
        custodian.tick()
        retention()
    except Exception as error:
        # Whatever it is (a bug in an archive, say), jobs must still be taken from the dead.
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


def _resign(custodian: Custodian) -> None:
    try:
        custodian.resign()
    except InfrastructureError as error:
        log.warning("custodian: not resigned, the lock runs out by itself: %s", error)
