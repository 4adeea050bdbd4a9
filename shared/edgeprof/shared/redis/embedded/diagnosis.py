"""Finds why a running server cannot be used, and waits for one that only needs time."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import InfrastructureError, StoreRefused, StoreUnavailable
from edgeprof.shared.redis.embedded import start
from edgeprof.shared.redis.embedded.owner import Owner
from edgeprof.shared.redis.embedded.probe import Answer, Condition

log = logging.getLogger(__name__)

LOOK_S: Final = 0.02
_NOTICE_AFTER_S: Final = 2.0


def diagnose(
    folder: Path, living: Owner, found: Answer | None, answer_s: float
) -> InfrastructureError | None:
    """Return why a running server cannot be used; None when it only needs time.

    `answer_s` is how long it had for the answer `found`.
    """
    who = f"the embedded Redis ({living})"
    if living.seen and living.lost_folder(folder):
        return StoreUnavailable(
            f"{who} lives, but {folder} was deleted under it: its jobs are only in its memory",
            hint="agents and schedulers that knew it still work on them; let them end, then"
            " `edgeprof stop`: the next command starts an empty one",
        )
    if found is None:
        return StoreUnavailable(
            f"{who} lives, but server.json and redis.conf in {folder}, which say how to reach it,"
            " are damaged or deleted",
            hint=_restart(living),
        )
    if living.stopped:
        return StoreUnavailable(f"{who} {living.condition}", hint=living.hint)
    if found.condition is Condition.SILENT and start.has_been_ready(folder):
        return StoreUnavailable(
            f"{who} {living.condition}: no word in {answer_s:g} s", hint=living.hint
        )
    if found.condition is Condition.FAILING:
        return StoreRefused(f"{who} refuses: {found.error}", hint=living.hint)
    if found.condition is Condition.DENIED:
        return StoreRefused(
            f"{who} refuses the password that {folder / 'server.json'} says",
            hint=_restart(living),
        )
    if found.condition is Condition.FOREIGN and start.has_been_ready(folder):
        return StoreUnavailable(
            f"{who} is not on port {found.server.port}, which {folder / 'server.json'} says:"
            " another program answers there",
            hint=_restart(living),
        )
    return None


def _restart(living: Owner) -> str:
    if not living.seen:
        return living.hint
    return f"kill {living.pid} stops it; the next command starts it again with its jobs"


class Patience:
    """Waits for a running server that needs time: logs that once, and gives up after a limit."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._since_s = time.monotonic()
        self._said = False

    def wait(self, living: Owner, found: Answer | None) -> None:
        """Pause before the next look. Raises StoreUnavailable when it has been long enough."""
        waited_s = time.monotonic() - self._since_s
        loaded = found.loaded if found else ""
        does = f"loading its jobs: {loaded}" if loaded else "starting or stopping"
        if waited_s > self._limit_s:
            raise StoreUnavailable(
                f"the embedded Redis ({living}) is still {does} after {self._limit_s:g} s",
                hint="try again later, or set EDGEPROF_STORE_PATIENCE_S to wait longer;"
                f" ps -o pid,stat,args -p {living.pid} shows it",
            )
        if waited_s > _NOTICE_AFTER_S and not self._said:
            log.warning(
                "waiting for the embedded Redis (%s), which is %s; up to %g s",
                living,
                does,
                self._limit_s,
            )
            self._said = True
        time.sleep(LOOK_S)
