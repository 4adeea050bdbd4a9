"""The version of tiny-llm-edge-profiler that is installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

DISTRIBUTION = "tiny-llm-edge-profiler"


@cache  # metadata is parsed anew at each call: half a millisecond, and each job asks
def own_version() -> str:
    """Return the installed version, as `edgeprof --version` prints it."""
    return version(DISTRIBUTION)
