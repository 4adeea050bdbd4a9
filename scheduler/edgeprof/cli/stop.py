"""The command `edgeprof stop`."""

from __future__ import annotations

from edgeprof.cli import output
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import load_settings


def stop() -> None:
    """Stop the embedded Redis that the first command started. Its jobs stay on disk.

    Example: edgeprof stop
    """
    settings = load_settings()
    if settings.redis_url is not None:
        output.note("EDGEPROF_REDIS_URL is set: that Redis is not ours to stop")
    elif redis_server.stop(settings):
        output.note("stopped the embedded Redis; the next command starts it again, with its jobs")
    else:
        output.note("no embedded Redis is running")
