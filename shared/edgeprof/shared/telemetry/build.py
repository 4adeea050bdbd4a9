"""The edgeprof_build_info metric, which every endpoint of ours has."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Info, disable_created_metrics

from edgeprof.shared.own_version import own_version

# They are a second series for each counter and bucket, which no dashboard or rule reads.
disable_created_metrics()  # type: ignore[no-untyped-call]


def build_info(registry: CollectorRegistry, component: str) -> None:
    """Add the metric with version and component."""
    info = Info("edgeprof_build", "Version of tiny-llm-edge-profiler", registry=registry)
    info.info({"version": own_version(), "component": component})
