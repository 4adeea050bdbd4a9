"""Opens the archive, once the jobs that just ended are in it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edgeprof.cli import output
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import EdgeprofError
from edgeprof.shared.redis import server
from edgeprof.shared.settings import Settings, load_settings

if TYPE_CHECKING:
    from edgeprof.scheduler.archive import Archive

#: The scheduler archives once a second.
_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 0.1


def open_archive() -> Archive:
    """Open the archive. A script that has waited for its jobs finds all of them in it.

    Raises InfrastructureError as Archive.open does. A lab without a Redis is an archive all the
    same, so none is started for this.
    """
    # Imported here: most jobs are still in Redis, and SQLAlchemy takes a fifth of a second.
    from edgeprof.scheduler.archive import Archive  # noqa: PLC0415

    settings = load_settings()
    with suppress(EdgeprofError):
        _wait_for_scheduler(settings)
    return Archive.open(settings)


def _wait_for_scheduler(settings: Settings) -> None:
    if not settings.redis_url and not server.runs(settings):
        return
    until_s = time.monotonic() + _PATIENCE_S
    with Lab(settings=settings, hurried=True) as lab:
        while left := lab.store.maintenance.unarchived_count():
            if time.monotonic() > until_s:
                output.note(
                    f"{left} finished job(s) are not in the archive yet, and left out:"
                    " does `edgeprof scheduler` run?"
                )
                return
            time.sleep(_LOOK_S)
