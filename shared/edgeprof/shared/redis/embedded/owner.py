"""Finds the process that owns the files of an embedded Redis: asks the kernel, trusts no file.

The server has a record lock (POSIX, `fcntl`) on `server.lock` from before its first instruction.
Such a lock belongs to one process: the kernel drops it when that process ends, however it ends, and
names its owner to anybody who asks. So no pid is ever taken from a file, and none can have been
used again.

Rejected: `flock`. A child inherits it, so the child that rewrites the append-only file would keep
the lock of a server that was killed. With a record lock such an orphan has no lock, and it does no
harm: it writes only `temp-*-PID.aof`, which its parent alone would have put in place.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOCK: Final = "server.lock"

#: struct flock: type, whence, start, length, pid.
_FLOCK: Final = "hhqqi"
_PROC: Final = Path("/proc")
_SERVERS: Final = ("redis-server", "valkey-server")

_STATES: Final = {
    "T": "is stopped (SIGSTOP)",
    "t": "is held by a debugger",
    "D": "waits for its disk",
}


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that owns the files."""

    #: Not above 0: it runs in another container or on another machine.
    pid: int

    @property
    def seen(self) -> bool:
        """Whether it is a process of this machine."""
        return self.pid > 0

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.seen else "in another container or on another machine"

    def lost_folder(self, folder: Path) -> bool:
        """Whether the folder was deleted while the server runs in it."""
        return _worked_in(self.pid, folder)

    def calls_itself(self, pid: int) -> bool:
        """Whether this is its pid as it sees itself, which in a container is another one."""
        try:
            status = (_PROC / str(self.pid) / "status").read_text()
        except OSError:
            return False
        names = [line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")]
        return any(str(pid) in pids for pids in [[str(self.pid)], *names])

    @property
    def stopped(self) -> bool:
        """Whether it cannot answer, because somebody has stopped it."""
        return _state(self.pid) in {"T", "t"}

    @property
    def condition(self) -> str:
        """Why it does not answer, as far as the kernel shows it."""
        return _STATES.get(_state(self.pid), "does not answer")

    @property
    def hint(self) -> str:
        """A hint for the user: how to look at it, or to let it go on."""
        if not self.seen:
            return "stop it where it runs, or set EDGEPROF_DATA_DIR to a folder of this machine"
        if self.stopped:
            return f"kill -CONT {self.pid} lets it go on"
        return (
            f"look at it: ps -o pid,stat,wchan,args -p {self.pid}; when it never comes back,"
            f" kill -9 {self.pid}, and the next command starts it again with its jobs"
        )


def owner(folder: Path) -> Owner | None:
    """Return the owner of the files in this folder, or None. Raises OSError, e.g. ENOLCK."""
    return _holder(folder / LOCK) or _unlocked(folder)


def works_in(pid: int, folder: Path) -> bool:
    """Whether this folder is the working folder of a process: redis-server changes into `dir`."""
    try:
        return (_PROC / str(pid) / "cwd").samefile(folder)
    except OSError:
        return False


def _worked_in(pid: int, folder: Path) -> bool:
    """Whether a process' working folder was deleted, and had this name."""
    try:
        return str((_PROC / str(pid) / "cwd").readlink()) == f"{folder} (deleted)"
    except OSError:
        return False


def _holder(path: Path) -> Owner | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(file, fcntl.F_GETLK, question))
    finally:
        os.close(file)
    return None if kind == fcntl.F_UNLCK else Owner(pid)


def _unlocked(folder: Path) -> Owner | None:
    """Find a server without our lock: an older one, one started by hand, or its lock file is gone.

    It is found, too, when its whole folder was deleted, whether or not there is a new one of that
    name.
    """
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (
            works_in(int(entry.name), folder) or _worked_in(int(entry.name), folder)
        ):
            try:
                title = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            # The child that rewrites the append-only file calls itself redis-aof-rewrite.
            if Path(title.replace("\0", " ").split(" ")[0]).name.startswith(_SERVERS):
                return Owner(int(entry.name))
    return None


def _state(pid: int) -> str:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
