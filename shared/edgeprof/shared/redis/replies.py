"""Translates redis-py's exceptions into one line of ours, with a hint.

An error inside a script has no class of its own: only its text shows what it is, and before Redis 7
that stands in the middle of other text.
"""

from __future__ import annotations

import re
from typing import Final

from redis import exceptions

from edgeprof.shared.errors import StoreRefused, StoreUnavailable

#: Errors of a Redis that answers and cannot write.
_CANNOT_WRITE: Final = re.compile(r"(?:^|[ -])(LOADING|MISCONF|OOM|READONLY)\b")
_KINDS: Final = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
}
#: The kernel's error when Redis wrote its append-only file.
_AOF_ERROR: Final = re.compile(r"writing to the AOF file: (.+?)(?: script: .*)?$")
_DISK: Final = {
    "No space left on device": "is full",
    "Disk quota exceeded": "is full for this user (quota)",
    "File too large": "is full for this process (file size limit)",
}


def translated(error: Exception, where: str) -> StoreRefused | StoreUnavailable:
    """Return our error for redis-py's. `where`: the URL, password masked."""
    word = _cannot_write(error)
    ours = _cannot(word, str(error), where) if word else _other(error, where)
    # There was no server, or one that cannot write; a cut network shows as neither.
    ours.proves_store_down = bool(word) or isinstance(error.__context__, ConnectionRefusedError)
    return ours


def disk_words(said: str) -> str:
    """Return what is wrong with Redis' disk, e.g. "is full (No space left on device)"."""
    found = _AOF_ERROR.search(said)
    if found is None:
        return f"takes no snapshots: {said}"
    kernel = found[1].strip().rstrip(".")
    return f"{_DISK.get(kernel, 'does not take what is written')} ({kernel})"


def _cannot_write(error: Exception) -> str:
    for kind, word in _KINDS.items():
        if isinstance(error, kind):
            return word
    found = (
        _CANNOT_WRITE.search(str(error)) if isinstance(error, exceptions.ResponseError) else None
    )
    return found[1] if found else ""


def _cannot(word: str, said: str, where: str) -> StoreRefused | StoreUnavailable:
    if word == "LOADING":
        return StoreUnavailable(
            f"Redis at {where} is still loading its jobs after a start",
            hint="nothing is lost; try again in a moment",
        )
    if word == "MISCONF":
        return StoreRefused(
            f"Redis at {where} cannot write: its disk {disk_words(said)}",
            hint="free space on the disk of its append-only file (the embedded Redis: redis/ in the"
            " data folder), then try again; it goes on within a second",
        )
    if word == "OOM":
        return StoreRefused(
            f"Redis at {where} cannot write: it is out of memory (maxmemory)",
            hint="raise maxmemory in its configuration, or let jobs end; then try again",
        )
    return StoreRefused(
        f"Redis at {where} cannot write: it is a read-only replica",
        hint="does EDGEPROF_REDIS_URL name the master?",
    )


def _other(error: Exception, where: str) -> StoreRefused | StoreUnavailable:
    if isinstance(error, exceptions.AuthenticationError):
        return StoreRefused(
            f"Redis at {where} refused the login: {error}",
            hint="check user and password in EDGEPROF_REDIS_URL",
        )
    # In a script it is another error, known by its words only: those of Redis 7, and of Redis 8.
    refused = ("user executing the script", "ACL failure in script")
    if isinstance(error, exceptions.NoPermissionError) or any(w in str(error) for w in refused):
        return StoreRefused(
            f"Redis at {where} does not let this user do that: {error}",
            hint="client, worker and scheduler have users of their own: deploy/redis/users.acl",
        )
    if isinstance(error, exceptions.InvalidResponse):
        return StoreRefused(f"what answers at {where} is not a Redis: {error}")
    if isinstance(error, (exceptions.TimeoutError, TimeoutError)) and "connecting" not in str(
        error
    ):
        return StoreUnavailable(
            f"Redis at {where} does not answer: {error}",
            hint="it may be stopped or stalled; look at it:"
            " ps -C redis-server -o pid,stat,wchan,args",
        )
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)):
        return StoreUnavailable(
            f"Redis at {where} cannot be reached: {error}",
            hint="is it running, and is EDGEPROF_REDIS_URL right?",
        )
    return StoreRefused(f"Redis at {where} refused: {error}")
