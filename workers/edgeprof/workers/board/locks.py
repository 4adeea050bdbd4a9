"""The second fence: on one host, one process drives a board, whatever Redis says.

These are advisory locks on files in a folder that the whole host shares. The kernel drops them when
their holder dies, however it dies, so whoever gets a lock knows that the holder before is gone.
Three names of a board are locked: its port (before a byte is sent), its silicon's uid, and its id
in the lab.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edgeprof.shared.errors import HostFault
from edgeprof.workers.board import lock_files

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class BoardLock:
    """The locks on one board's names. They end with close(), or with this process."""

    def __init__(self, lock_dir: Path) -> None:
        self._dir = lock_dir
        self._descriptors: dict[str, int] = {}
        with lock_files.lock_folder(lock_dir):
            pass  # the folder is usable, or HostFault says why it is not

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def lock_domain(self) -> str:
        """A name for all processes that share these locks: this folder, on this kernel."""
        with lock_files.lock_folder(self._dir) as descriptor:
            found = os.fstat(descriptor)
        try:
            boot_id = _BOOT_ID.read_text().strip()
        except OSError as error:
            raise HostFault(
                f"cannot read {_BOOT_ID}: {error.strerror}",
                code="boot_id",
                hint="an agent needs /proc: it tells which locks are of this start of the machine",
            ) from None
        return f"{boot_id}:{found.st_dev:x}:{found.st_ino:x}"

    def take(self, kind: str, name: str) -> None:
        """Lock one name; taking it again does nothing. HostFault says which process has it."""
        file_name = f"{kind}-{_file_name(name)}.lock"
        if file_name in self._descriptors:
            return
        try:
            self._descriptors[file_name] = lock_files.take(self._dir, file_name)
        except lock_files.Taken as taken:
            raise HostFault(
                f"{kind} {name} is already driven by process {taken.holder} on this host",
                code="board_claimed",
                hint="stop that agent, or take the board out of one of the two",
            ) from None

    def close(self) -> None:
        """Give up all locks. The files stay: without them two processes could lock two files."""
        while self._descriptors:
            os.close(self._descriptors.popitem()[1])


def _file_name(name: str) -> str:
    """Return a file name that is always unique, and readable where the name allows it."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    return f"{readable}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
