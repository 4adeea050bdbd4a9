"""Whether what a server has acknowledged is in its file yet.

With `appendfsync everysec` Redis answers before it has noticed that its disk is full, and also while a slow
fsync holds back what it should write. Such a job would be gone after a kill -9, its id printed already. So a
client asks once more, a round trip, before it tells an id.

Rejected: `appendfsync always`. Redis then ends at the first full disk, and nobody could read a result.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from redis import Redis

from edgeprof.shared.errors import StoreRefused, StoreUnavailable
from edgeprof.shared.redis.embedded import lost_files
from edgeprof.shared.redis.embedded.owner import owner

#: A fsync holds writes back for two seconds at most; what lasts longer is a disk in trouble.
LIMIT_S: Final = 5.0


def until_written(redis: Redis, folder: Path) -> None:
    """Return when the append-only file in this folder holds all that was acknowledged to this client.

    Raises StoreRefused when it cannot be written, StoreUnavailable when that takes too long.
    """
    deadline_s = time.monotonic() + LIMIT_S
    with suppress(OSError):  # a file system without locks, which was told at the start
        if living := owner(folder):
            lost_files.mend(redis, living, folder)
    while True:
        info = redis.info("persistence")
        if info.get("aof_last_write_status", "ok") != "ok":
            raise StoreRefused(
                "the embedded Redis cannot write: its disk is full; what was submitted just now is only"
                " in its memory, and is not promised",
                hint="free space in the data folder, and look with `edgeprof jobs` whether it is queued",
            )
        # Not zero either when somebody else has written in the same breath: then the next look tells.
        if not info.get("aof_buffer_length"):
            return
        if time.monotonic() > deadline_s:
            raise StoreUnavailable(
                f"the embedded Redis has not written its file for {LIMIT_S:g} s; what was submitted"
                " just now is only in its memory, and is not promised",
                hint="is the disk of the data folder slow or stalled? Look with `edgeprof jobs`",
            )
        time.sleep(0.005)
