"""The metrics of a lab, under the names that dashboards and alerts use.

Each class fills one registry, which one process serves on one port: a host agent's sessions and devices,
and the scheduler's view of the whole lab. A gauge that was never measured has no sample, rather than a zero.
"""
