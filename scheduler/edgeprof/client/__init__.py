"""The Python API: `from edgeprof.client import Lab`. The command line uses it too.

It needs Redis. Only `Lab.results` opens the archive, which is of edgeprof.scheduler.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing.TYPE_CHECKING, whose import would take longer than this module
if TYPE_CHECKING:
    from typing import Any

    from edgeprof.client.job import Job
    from edgeprof.client.lab import Lab
    from edgeprof.client.planning import Planned
    from edgeprof.client.request import JobOptions, Request
    from edgeprof.client.results import Results

__all__ = ["Job", "JobOptions", "Lab", "Planned", "Request", "Results"]

_HOMES = {
    "Job": "job",
    "JobOptions": "request",
    "Lab": "lab",
    "Planned": "planning",
    "Request": "request",
    "Results": "results",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is used: the command line must handle Ctrl-C before slow imports."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - see above

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
