"""Lock files in a folder that every user of the machine may write, so nothing there is trusted.

A file under a lock's name may be another user's, a link to somebody's data, a pipe that blocks its
reader, or a second name of a file elsewhere. So locks are taken only on plain files, and modes are
changed only of files and folders that this process made or owns.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import HostFault

_EVERYBODY: Final = 0o666
#: Everybody can make files there, and nobody can remove those of others.
_FOLDER_MODE: Final = 0o1777
_SAFELY: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_TRIES: Final = 10


class Taken(Exception):  # noqa: N818 - not an error: somebody else has the lock
    """Raised when another process has the lock; `holder` is the id that it wrote, or "unknown"."""

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def lock_folder(path: Path) -> Iterator[int]:
    """Open the folder, after making it for all users if it is missing. Raises HostFault.

    A folder that exists keeps its mode: it may be somebody's private folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made = False
        with suppress(FileExistsError):
            path.mkdir()
            made = True
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _no_folder(path, error) from None
    try:
        if made:
            os.fchmod(descriptor, _FOLDER_MODE)
        yield descriptor
    except OSError as error:
        raise _no_folder(path, error) from None
    finally:
        os.close(descriptor)


def take(folder: Path, name: str) -> int:
    """Lock a name; returns a descriptor, and closing it unlocks. Raises Taken, or HostFault."""
    path = folder / name
    with lock_folder(folder) as inside:
        try:
            for _ in range(_TRIES):
                descriptor = _open(inside, path)
                try:
                    _lock(descriptor)
                    if _is_still(inside, name, descriptor):
                        _sign(descriptor)
                        return descriptor
                except BaseException:
                    os.close(descriptor)
                    raise
                # Removed or replaced meanwhile: another process would lock the new file.
                os.close(descriptor)
        except OSError as error:
            raise _unusable(path, error.strerror or str(error)) from None
    raise _unusable(path, "it is replaced again and again")


def _open(inside: int, path: Path) -> int:
    """Open the lock file, after making it if it is missing."""
    for _ in range(_TRIES):
        # Without O_CREAT at first: with it, the kernel refuses another user's file in a sticky
        # folder (fs.protected_regular).
        with suppress(FileNotFoundError):
            return _open_existing(inside, path)
        with suppress(FileExistsError):
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY
            descriptor = os.open(path.name, flags, _EVERYBODY, dir_fd=inside)
            os.fchmod(descriptor, _EVERYBODY)  # whatever the umask is
            return descriptor
    raise _unusable(path, "it comes and goes")


def _open_existing(inside: int, path: Path) -> int:
    # Checked before it is opened: to open a device may do something.
    _check(path, os.stat(path.name, dir_fd=inside, follow_symlinks=False))
    try:
        descriptor = os.open(path.name, os.O_RDWR | _SAFELY, dir_fd=inside)
    except PermissionError:
        # Another user made it with an older version. Reading is enough for a lock.
        descriptor = os.open(path.name, os.O_RDONLY | _SAFELY, dir_fd=inside)
    try:
        found = os.fstat(descriptor)
        _check(path, found)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _EVERYBODY:
            os.fchmod(descriptor, _EVERYBODY)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _unusable(path, "it is a link" if stat.S_ISLNK(found.st_mode) else "it is not a file")
    if found.st_nlink > 1:
        raise _unusable(path, "it is a file that has another name elsewhere (a hard link)")


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Taken(_holder(descriptor)) from None


def _holder(descriptor: int) -> str:
    """Return the owner that is written in the file. Anybody may write it: only a number counts."""
    with suppress(OSError):
        said = os.pread(descriptor, 16, 0)
        if re.fullmatch(rb"[0-9]{1,10}", said):
            return said.decode()
    return "unknown"


def _sign(descriptor: int) -> None:
    """Write the owner into the file, for other processes' messages. The lock holds without it."""
    with suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _is_still(inside: int, name: str, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        there = os.stat(name, dir_fd=inside, follow_symlinks=False)
        return os.path.samestat(there, os.fstat(descriptor))
    return False


def _no_folder(path: Path, error: OSError) -> HostFault:
    reason = error.strerror or str(error)
    with suppress(OSError):
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            reason = "it is a link, and none is followed where all users may write"
        elif not stat.S_ISDIR(found.st_mode):
            reason = "it is not a folder"
        else:
            reason += f" (of user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o})"
    return HostFault(
        f"no folder for board locks at {path}: {reason}",
        code="lock_dir",
        hint="set EDGEPROF_LOCK_DIR to a folder all agents of this host can write (mode 1777)",
    )


def _unusable(path: Path, reason: str) -> HostFault:
    owner = ""
    with suppress(OSError):
        found = path.lstat()
        owner = f" (of user {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o})"
    return HostFault(
        f"no board lock at {path}{owner}: {reason}",
        code="lock_file",
        hint="let its owner or root remove it while no agent runs, and see that all agents of this"
        f" host can write {path.parent} (mode 1777), or set EDGEPROF_LOCK_DIR to another folder for"
        " all",
    )
