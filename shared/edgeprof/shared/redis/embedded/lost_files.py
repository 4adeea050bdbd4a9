"""A server whose append-only file was deleted or moved away while it lives.

Redis goes on writing into a file without a name, reports no error, and loses every job at its next
restart. While it lives the jobs are in its memory, so it is asked to write a new file.
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
    """Whether the server writes a file that is not in its folder, where the next server looks."""
    if not owner.seen:
        return False
    present = set()
    with suppress(OSError):
        present = {_identity(path) for path in (*folder.glob("*.aof*"), *folder.glob("*/*.aof*"))}
    return any(file not in present for file in _written(owner))


def mend(redis: Redis, owner: Owner, folder: Path) -> None:
    """Have the server write its files anew if they are gone. Raises StoreRefused when it cannot."""
    deadline_s = time.monotonic() + _LIMIT_S
    ask_at_s, said = time.monotonic() + _MOMENT_S, False
    while lost(owner, folder) or (said and _writes_anew(redis)):
        now_s = time.monotonic()
        if now_s > deadline_s:
            raise StoreRefused(
                f"the append-only file of the embedded Redis ({owner}) was deleted or moved away"
                f" from {folder}, and it cannot be written anew: its jobs are only in its memory",
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
            with suppress(exceptions.ResponseError):  # it does so already
                redis.bgrewriteaof()
        time.sleep(_LOOK_S)


def _writes_anew(redis: Redis) -> bool:
    """Whether the new file is not complete yet; new writes go into their own new file already."""
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
