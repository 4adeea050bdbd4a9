"""The second fence: on one host, one process drives a board, whatever Redis says.

Advisory locks on files in a host-wide folder. The kernel drops them when their holder dies, however
it dies, so whoever gets the lock knows that the process before is gone. Three names are locked: the port
(before anything is sent to it), the silicon's uid, and the board's id in the lab.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeprof.shared.errors import HostFault


class BoardClaim:
    """Locks held for one board until closed, or until this process ends."""

    def __init__(self, lock_dir: Path) -> None:
        self._dir = lock_dir
        self._held: dict[str, int] = {}
        try:
            lock_dir.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(PermissionError):  # another user made it, and did this
                lock_dir.chmod(0o1777)
        except OSError as error:
            raise HostFault(
                f"no folder for board locks at {lock_dir}: {error.strerror}",
                code="lock_dir",
                hint="set EDGEPROF_LOCK_DIR to a folder all agents of this host can write",
            ) from None

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
    def domain(self) -> str:
        """A name for all processes that share these locks: this folder, on this kernel."""
        stat = self._dir.stat()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot_id}:{stat.st_dev:x}:{stat.st_ino:x}"

    def take(self, kind: str, name: str) -> None:
        """Lock one name, or raise HostFault that says which process has it. Again is harmless."""
        path = self._dir / f"{kind}-{_file_name(name)}.lock"
        if str(path) in self._held:
            return
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise HostFault(
                f"{kind} {name} is already driven by process {holder} on this host",
                code="board_claimed",
                hint="stop that agent, or take the board out of one of the two",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        self._held[str(path)] = descriptor

    def close(self) -> None:
        """Let go. The files stay: removing them would let two processes lock two files."""
        while self._held:
            os.close(self._held.popitem()[1])


def _file_name(name: str) -> str:
    """Return a file name that is readable where it can be and unique always."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:12]}"
