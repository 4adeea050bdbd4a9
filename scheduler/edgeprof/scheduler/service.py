"""`edgeprof scheduler`, without the command line: custodian, lab metrics and service discovery."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.custodian import Archive, Custodian
from edgeprof.scheduler.pages import Pulse, pages
from edgeprof.shared.errors import EdgeprofError, InfrastructureError
from edgeprof.shared.metrics.endpoint import Endpoint
from edgeprof.shared.metrics.lab import CustodianMetrics, LabCollector
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore

log = logging.getLogger(__name__)


def run_scheduler(
    settings: Settings,
    archive: Archive | None,
    stop: threading.Event,
    retention: Callable[[], None] = lambda: None,
) -> None:
    """Tick and serve until `stop` is set. Redis or the archive being away is waited out, and said once.

    `retention` is called after each tick, to delete a little of what is old. Raises InfrastructureError or UsageError when Redis is not there at the start.
    """
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    pulse = Pulse(settings.custodian_interval_s)
    with ExitStack() as stack:
        store = LabStore.open(settings)
        stack.callback(store.close)
        registry.register(LabCollector(store, metrics))
        custodian = Custodian(store, settings, archive, metrics)
        endpoint = Endpoint(
            registry, settings.metrics_bind, settings.scheduler_port, pages(store, settings, pulse)
        )
        stack.callback(endpoint.close)
        log.info(
            "metrics, /targets and /health on http://%s:%d",
            settings.advertised_address,
            endpoint.port,
        )
        stack.callback(_resign, custodian)
        while not stop.is_set():
            pulse.beat(_tick(custodian, retention, pulse.trouble))
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
    if said:
        log.warning("custodian: all is well again")
    return ""


def _resign(custodian: Custodian) -> None:
    try:
        custodian.resign()
    except InfrastructureError as error:
        log.warning("custodian: not resigned, the lock runs out by itself: %s", error)
