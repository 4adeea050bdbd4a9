"""The folder of an embedded Redis: makes it, locks it for a start, and remembers the server in it.

Every error of the file system becomes a StoreUnavailable that names the file and its owner.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from edgeprof.shared import private_files
from edgeprof.shared.errors import StoreUnavailable

CONFIG_NAME: Final = "redis.conf"
#: Longer than a stop may take, so that a command waits until a stop is done.
START_LOCK_LIMIT_S: Final = 20.0

#: Errors of a file system without locks.
NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
_ELSEWHERE: Final = "set EDGEPROF_DATA_DIR to a folder you may write, or EDGEPROF_REDIS_URL"


@dataclass(frozen=True, slots=True)
class Server:
    """How an embedded server is reached."""

    port: int
    password: str = field(repr=False)
    #: The folder it was started in; in a copy of the folder it is still the old one.
    folder: str = ""

    @property
    def url(self) -> str:
        """The URL, with its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse server.json; None when it is damaged."""
        try:
            told: dict[str, Any] = json.loads(text)
            port, password, folder = told["port"], told["password"], told.get("folder", "")
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        whole = type(port) is int and isinstance(password, str) and isinstance(folder, str)
        return cls(port, password, folder) if whole and 0 < port < 65536 and password else None

    @classmethod
    def configured(cls, text: str) -> Self | None:
        """Parse our redis.conf; None when it is damaged."""
        said = dict(line.split(" ", 1) for line in text.splitlines() if " " in line)
        port, password = said.get("port", ""), said.get("requirepass", "")
        if not (port.isdecimal() and 0 < int(port) < 65536 and password):
            return None
        return cls(int(port), password, said.get("dir", "").strip('"'))


def open_folder(data_dir: Path) -> Path:
    """Make the folder if it is missing, and return its path without symbolic links."""
    folder = data_dir / "redis"
    with explained(folder):
        for part in (folder, *folder.parents):
            if part.is_symlink() and not part.exists():
                raise StoreUnavailable(
                    f"the embedded Redis needs {folder}, but {part} is a symbolic link to"
                    f" {part.readlink()}, which is not there",
                    hint=f"mount or make that folder, or {_ELSEWHERE}",
                )
        private_files.tighten_all(private_files.make_folder(folder))
        return folder.resolve()


@contextmanager
def explained(place: Path) -> Iterator[None]:
    """Turn an OSError into a StoreUnavailable that explains it."""
    try:
        yield
    except OSError as error:
        path = Path(os.fsdecode(error.filename)) if error.filename else place
        raise refusal(error.errno or 0, path) from None


def refusal(number: int, path: Path) -> StoreUnavailable:
    """Return the error for an errno at a file or folder."""
    said = f"the embedded Redis needs {path}: {os.strerror(number)}"
    if number in NO_LOCKS:
        return StoreUnavailable(
            f"the embedded Redis needs locks, and the file system of {path} has none:"
            f" {os.strerror(number)}",
            hint="set EDGEPROF_DATA_DIR to a folder on a disk of this machine",
        )
    if number in {errno.ENOSPC, errno.EDQUOT}:
        return StoreUnavailable(said, hint="free space there, then try again")
    if number in {errno.EACCES, errno.EPERM} and (name := _owner_name(path)):
        return StoreUnavailable(
            f"{said}; it belongs to {name}", hint=f"run this as {name}, or {_ELSEWHERE}"
        )
    return StoreUnavailable(said, hint=_ELSEWHERE)


def _owner_name(path: Path) -> str:
    for part in (path, *path.parents):
        with contextlib.suppress(OSError):
            uid = part.stat().st_uid
            if uid == os.geteuid():
                return ""
            try:
                return pwd.getpwuid(uid).pw_name
            except KeyError:
                return f"uid {uid}"
    return ""


@contextmanager
def start_lock(folder: Path) -> Iterator[None]:
    """Let one command at a time start or stop the server; the lock ends with the command."""
    path = folder / "start.lock"
    with explained(path):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline_s = time.monotonic() + START_LOCK_LIMIT_S
        while not _locked(file, path):
            if time.monotonic() > deadline_s:
                holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
                raise StoreUnavailable(
                    f"another edgeprof command (pid {holder}) has been starting or stopping the"
                    f" embedded Redis for {START_LOCK_LIMIT_S:g} s",
                    hint=f"look at it: ps -o pid,stat,args -p {holder}; it may be stopped (Ctrl-Z)",
                )
            time.sleep(0.02)
        with contextlib.suppress(OSError):  # the disk may be full: then the pid is unknown to
            # others
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)


def _locked(file: int, path: Path) -> bool:
    with explained(path):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def remembered(folder: Path) -> list[Server]:
    """Return how the server may be reached: by server.json first, then by its configuration."""
    found = []
    for name, parse in (("server.json", Server.parse), (CONFIG_NAME, Server.configured)):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if (server := parse((folder / name).read_text())) and server not in found:
                found.append(server)
    return found


def remember(folder: Path, server: Server) -> None:
    """Write the server's port and password, unless they are there: the disk may be full."""
    write_private(folder / "server.json", json.dumps(asdict(server)))


def write_private(path: Path, text: str) -> None:
    """Write a file for its owner alone, whole or not at all; one with that text is left alone."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text() == text and path.stat().st_mode & 0o077 == 0:
            return
    try:
        private_files.write_whole(path, text.encode())
    except OSError as error:
        raise refusal(error.errno or 0, path) from None
