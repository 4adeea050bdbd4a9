"""The metrics of a lab, under the names that dashboards and alerts use.

Each class fills one registry, which one process serves on one port: a host agent's sessions and devices,
and the scheduler's view of the whole lab. A gauge that was never measured has no sample, rather than a zero.
"""

from prometheus_client import disable_created_metrics

# A second series for each counter and bucket that no dashboard or rule of ours asks.
disable_created_metrics()  # type: ignore[no-untyped-call]
