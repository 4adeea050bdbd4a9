"""The lab's Celery app for Celery's own tools, run by hand:

    export EDGEPROF_REDIS_URL=redis://scheduler:password@lab:6379/0
    celery -A edgeprof.shared.queue.celery status

`app` is made when it is first used, from the same settings as every command. Our own programs do
not use it: they have settings already, and call celery_app.make_app.
"""

from __future__ import annotations

import functools
import sys

from celery import Celery

from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.queue.celery_app import make_app
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import load_settings


@functools.cache
def _app() -> Celery:
    return make_app(redis_server.locate(load_settings()).url)


def __getattr__(name: str) -> Celery:
    """Make the app. Wrong settings end Celery's command with our message, without a traceback."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return _app()
    except EdgeprofError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        sys.exit(f"error: {error}{hint}")
