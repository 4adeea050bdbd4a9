"""How many notifications arrive."""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter

from edgeprof.shared.types.notify_address import Way


class Outcome(StrEnum):
    """How an attempt ended."""

    SENT = "sent"
    FAILED = "failed"
    GIVEN_UP = "given_up"


class NotifyMetrics:
    """Metrics of the notifier."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.edgeprof_notifications_total = Counter(
            "edgeprof_notifications_total",
            "Attempts to send a notification by webhook or mail: sent, failed (it is tried again)"
            " or given_up",
            ["outcome", "kind"],
            registry=registry,
        )
        for outcome in Outcome:
            for way in Way:
                self.edgeprof_notifications_total.labels(outcome, way)

    def counted(self, outcome: Outcome, way: Way) -> None:
        """Count an attempt."""
        self.edgeprof_notifications_total.labels(outcome, way).inc()
