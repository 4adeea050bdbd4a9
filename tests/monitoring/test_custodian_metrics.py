"""Metrics of the jobs that have ended, as the custodian counts them."""

from __future__ import annotations

from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest

from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView


def test_finished_jobs_are_there_before_the_first() -> None:
    """Counters of finished jobs and errors start at 0, since a ratio needs that."""
    registry = CollectorRegistry()
    CustodianMetrics(registry).platform_known("native")

    text = generate_latest(registry).decode()
    assert 'state="failed",platform' in text or 'platform="native",state="failed"' in text


def test_boards_nobody_knows_share_a_label() -> None:
    """Each name that somebody waited for in vain would be a series of its own, for ever."""
    registry = CollectorRegistry()
    views = [
        cast(Any, JobView).model_construct(state=JobState.EXPIRED, target=target, attempts=())
        for target in ("native", "native-1", "typo-1", "typo-2")
    ]

    CustodianMetrics(registry).finished(views, {"native-1": "native"})

    counted = {
        sample.labels["platform"]: sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "edgeprof_jobs_finished_total"
    }
    assert counted == {"native": 2, "unknown": 2}
