"""Names that the shell completes: boards, platforms, jobs and models.

A shell shows nothing where the lab cannot be asked. It must not hang either, and completion must
start no server: the embedded Redis is asked only if it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from edgeprof.shared.errors import EdgeprofError

if TYPE_CHECKING:
    from edgeprof.client.lab import Lab

#: The newest jobs are offered.
_JOBS: Final = 50
#: A person waits for the tab key.
_PATIENCE_S: Final = 1.0


def models(incomplete: str) -> list[str]:
    """Return the bundled models; the shell itself completes paths."""
    from edgeprof.shared.models import catalogue  # noqa: PLC0415 - numpy, for no other command

    return _beginning(incomplete, (model.name for model in catalogue.list_models()))


def boards(incomplete: str) -> list[str]:
    """Return the boards of the lab."""
    return _beginning(incomplete, _of_lab(lambda lab: (b.device_id for b in lab.boards())))


def platforms(incomplete: str) -> list[str]:
    """Return the platforms of the lab's boards."""
    return _beginning(incomplete, _of_lab(lambda lab: {b.platform for b in lab.boards()}))


def jobs(incomplete: str) -> list[str]:
    """Return the ids of the newest jobs."""
    return _beginning(incomplete, _of_lab(lambda lab: (v.id for v in lab.jobs(limit=_JOBS))))


def schedules(incomplete: str) -> list[str]:
    """Return the recurring sweeps of the lab."""
    return _beginning(
        incomplete, _of_lab(lambda lab: (view.schedule.name for view in lab.schedules.all()))
    )


def _of_lab(ask: Callable[[Lab], Iterable[str]]) -> Iterable[str]:
    from edgeprof.client.lab import Lab  # noqa: PLC0415
    from edgeprof.shared.redis import server  # noqa: PLC0415
    from edgeprof.shared.settings import load_settings  # noqa: PLC0415

    with suppress(EdgeprofError, OSError):
        settings = load_settings().model_copy(update={"store_patience_s": _PATIENCE_S})
        if settings.redis_url or server.runs(settings):
            with Lab(settings=settings) as lab:
                return list(ask(lab))
    return []


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.startswith(incomplete))
