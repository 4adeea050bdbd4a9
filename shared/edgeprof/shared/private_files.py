"""Makes files (0600) and folders (0700) for their owner alone, whatever the umask.

They have results, logs, prompts and logins. Each file gets its mode where it is
made. The Lab also runs inside other people's programs, whose umask
is not ours to change, and a report that a user asked for is the user's. The processes that only
serve (scheduler, agent, board workers, Flower) set their umask as well, for the files that
libraries make.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077


def umask_of_a_service() -> None:
    """Make files of this process unreadable for others from now on."""
    os.umask(_OTHERS)


def make_folder(path: Path) -> Path:
    """Make a folder, and those above that are missing, for their owner alone; returns it.

    One that exists is left as it is: it may be shared on purpose. Raises OSError.
    """
    missing = [part for part in (path, *path.parents) if not part.exists()]
    for part in reversed(missing):
        with suppress(FileExistsError):  # another process made it
            part.mkdir(mode=_FOLDER_MODE)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "it is no folder", str(path))
    return path


def opener(path: str, flags: int) -> int:
    """For open(): makes the file for its owner alone, and closes one that others could read.

    In a folder that others can write, a file planted under the name is refused: a link, a pipe, or
    another user's file.
    """
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would be waited for
    if flags & os.O_CREAT:
        with suppress(FileExistsError):
            return os.open(path, flags | os.O_EXCL, _FILE_MODE)
    descriptor = os.open(path, flags & ~os.O_TRUNC, _FILE_MODE)
    try:
        found = os.fstat(descriptor)
        _refuse_planted(path, found)
        if found.st_mode & _OTHERS:
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & ~_OTHERS)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_planted(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise PermissionError(errno.EPERM, "it is no file of its own", path)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", path)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, for its owner alone; make its folder if it is missing.

    Its bytes are on the disk before it has its name, so a crash of the machine leaves no empty
    file. A part that a full disk has taken is removed again. Raises OSError.
    """
    with written_whole(path) as file:
        file.write(content)


@contextmanager
def written_whole(path: Path) -> Iterator[IO[bytes]]:
    """A file to write piece by piece, as write_whole() does; an error leaves nothing of it."""
    make_folder(path.parent)
    descriptor, part = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        put_in_place(Path(part), path)
    except BaseException:
        with suppress(OSError):
            Path(part).unlink()
        raise


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished file its name once its bytes are on the disk. Raises OSError."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    part.replace(path)


def make_file(path: Path) -> None:
    """Make an empty file for its owner alone, unless it exists, for a library that opens it."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE))


def tighten(path: Path) -> None:
    """Close a file or folder to everybody else, if it is this user's. Follows no link."""
    with suppress(OSError), _looked_at(path) as (descriptor, found):
        ours = found.st_uid == os.geteuid() and found.st_mode & _OTHERS
        single = stat.S_ISDIR(found.st_mode) or (
            stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        )
        if ours and single:
            mode = stat.S_IMODE(found.st_mode) & ~_OTHERS
            Path(f"/proc/self/fd/{descriptor}").chmod(mode)


def tighten_all(path: Path) -> None:
    """Tighten a folder of ours, and everything in it."""
    if path.is_symlink() or not path.is_dir():
        return
    tighten(path)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            tighten(Path(folder, name))


def tighten_if_only(path: Path, *ours: str) -> None:
    """Tighten a folder that holds nothing but names matching `ours`.

    One with other files is somebody's working folder, /var/log or the like: closing it would break
    others.
    """
    with suppress(OSError):
        if path.is_symlink() or path.stat().st_mode & stat.S_ISVTX:
            return
        if all(any(entry.match(pattern) for pattern in ours) for entry in path.iterdir()):
            tighten(path)


@contextmanager
def _looked_at(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """Refer to a file without opening it: closing a database would drop SQLite's locks on it."""
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor, os.fstat(descriptor)
    finally:
        os.close(descriptor)
