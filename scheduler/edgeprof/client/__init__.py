"""What a notebook or script imports: `from edgeprof.client import Lab`. Also the command line's way to a lab.

Needs Redis and nothing of the scheduler: a laptop has no archive and serves no page.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import takes longer than all that is here
if TYPE_CHECKING:
    from typing import Any

    from edgeprof.client.job import Job
    from edgeprof.client.lab import Lab, Planned
    from edgeprof.client.request import JobOptions, Request

__all__ = ["Job", "JobOptions", "Lab", "Planned", "Request"]

_HOMES = {
    "Job": "job",
    "JobOptions": "request",
    "Lab": "lab",
    "Planned": "lab",
    "Request": "request",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: the command line starts here, and must hear Ctrl-C before anything heavy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - see above

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
