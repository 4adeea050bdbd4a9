"""How processes tell what they do: logs, traces, and the HTTP endpoint that metrics are read from.

The metrics themselves are where they are counted: in workers/metrics, and in scheduler/metrics.
"""
