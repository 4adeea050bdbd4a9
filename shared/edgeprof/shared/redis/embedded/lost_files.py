"""A server whose append-only file was deleted or moved away while it lives.

Redis goes on writing into a file that has no name any more, says that all is well, and has forgotten every
job after its next restart. As long as it lives its memory holds them, so it is asked to write them anew.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis, exceptions

from edgeprof.shared.errors import StoreRefused
from edgeprof.shared.redis.embedded.owner import Owner

log = logging.getLogger(__name__)

_LIMIT_S: Final = 5.0
_LOOK_S: Final = 0.02
#: A file that the server itself has just replaced stays open for a moment.
_MOMENT_S: Final = 0.2
_ASK_EVERY_S: Final = 1.0


def lost(owner: Owner, folder: Path) -> bool:
    """Whether the server writes into a file that is not in its folder, where the next server looks."""
    if not owner.seen:
        return False
    kept = set()
    with suppress(OSError):
        kept = {_identity(path) for path in (*folder.glob("*.aof*"), *folder.glob("*/*.aof*"))}
    return any(file not in kept for file in _written(owner))


def mend(redis: Redis, owner: Owner, folder: Path) -> None:
    """Have the server write its files anew where they are gone. Raises StoreRefused when it cannot."""
    deadline_s = time.monotonic() + _LIMIT_S
    ask_at_s, said = time.monotonic() + _MOMENT_S, False
    while lost(owner, folder) or (said and _writes_anew(redis)):
        now_s = time.monotonic()
        if now_s > deadline_s:
            raise StoreRefused(
                f"the append-only file of the embedded Redis ({owner}) was deleted or moved away from"
                f" {folder}, and it cannot be written anew: its jobs are only in its memory",
                hint="what is submitted now would be lost with it; let its jobs end, then"
                f" `edgeprof stop`, or kill -9 {owner.pid} to give them up",
            )
        if now_s >= ask_at_s:
            ask_at_s = now_s + _ASK_EVERY_S
            if not said:
                said = True
                log.warning(
                    "the append-only file of the embedded Redis was deleted or moved away from %s;"
                    " it is written anew from the server's memory",
                    folder,
                )
            with suppress(exceptions.ResponseError):  # it is at it already
                redis.bgrewriteaof()
        time.sleep(_LOOK_S)


def _writes_anew(redis: Redis) -> bool:
    """Whether the whole is not on the disk yet: what comes in meanwhile has its new file already."""
    info = redis.info("persistence")
    return bool(info.get("aof_rewrite_in_progress") or info.get("aof_rewrite_scheduled"))


def _written(owner: Owner) -> list[tuple[int, int]]:
    """Return the append-only files that the server has open, deleted or not."""
    found = []
    with suppress(OSError):
        for entry in Path(f"/proc/{owner.pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                if ".aof" in entry.readlink().name:
                    found.append(_identity(entry))
    return found


def _identity(path: Path) -> tuple[int, int]:
    there = path.stat()
    return there.st_dev, there.st_ino
