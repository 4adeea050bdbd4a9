"""Waits until everything that a server has acknowledged is in its append-only file.

With `appendfsync everysec` Redis answers before it has noticed that its disk is full, and also
while a slow fsync delays its writes. Such a job would be gone after a kill -9, when its id was
printed already. So a client asks once more, a round trip, before it prints an id.

Rejected: `appendfsync always`. Redis then ends at the first full disk, and no result can be read.
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

#: Redis waits for a fsync for two seconds at most; a longer delay is a disk in trouble.
LIMIT_S: Final = 5.0


def until_written(redis: Redis, folder: Path) -> None:
    """Wait until the file in this folder has everything that was acknowledged to this client.

    Raises StoreRefused when it cannot be written, StoreUnavailable when that takes too long.
    """
    deadline_s = time.monotonic() + LIMIT_S
    with suppress(OSError):  # a file system without locks was reported at the start
        if living := owner(folder):
            lost_files.mend(redis, living, folder)
    while True:
        info = redis.info("persistence")
        if info.get("aof_last_write_status", "ok") != "ok":
            raise StoreRefused(
                "the embedded Redis cannot write: its disk is full; what was submitted just now is"
                " only in its memory, and is not promised",
                hint="free space in the data folder, and look with `edgeprof jobs` whether it is"
                " queued",
            )
        # It is above zero, too, when somebody else has just written: then the next look decides.
        if not info.get("aof_buffer_length"):
            return
        if time.monotonic() > deadline_s:
            raise StoreUnavailable(
                f"the embedded Redis has not written its file for {LIMIT_S:g} s; what was"
                " submitted just now is only in its memory, and is not promised",
                hint="is the disk of the data folder slow or stalled? Look with `edgeprof jobs`",
            )
        time.sleep(0.005)
