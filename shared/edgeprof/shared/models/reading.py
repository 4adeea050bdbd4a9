"""Reading files that others may be writing: a name never stands for content that it no longer has."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeprof.shared.errors import ModelError
from edgeprof.shared.types.wire import MAX_FILE_BYTES

#: The coarsest clock of file systems in use (FAT): what was written within it of a look may be written
#: again without a trace.
_CLOCK_S = 2.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes with a file's content. Not its modification time alone: copies keep that, and tools set it."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int
    #: Whether the file had rested long enough for the times to tell of every later change.
    settled: bool

    @classmethod
    def of(cls, path: Path) -> Self:
        """Look at a file. Raises OSError."""
        stat = path.stat()
        return cls(
            device=stat.st_dev,
            inode=stat.st_ino,
            size_bytes=stat.st_size,
            modified_ns=stat.st_mtime_ns,
            changed_ns=stat.st_ctime_ns,
            settled=time.time() - stat.st_ctime > _CLOCK_S,
        )

    def same_as(self, other: Stamp) -> bool:
        """Whether nothing was written between two looks, as far as the file's times tell."""
        mine = (self.device, self.inode, self.size_bytes, self.modified_ns, self.changed_ns)
        theirs = (other.device, other.inode, other.size_bytes, other.modified_ns, other.changed_ns)
        return mine == theirs


def stamp_of(path: Path) -> Stamp:
    """Look at a file. Raises ModelError when it cannot be looked at."""
    try:
        return Stamp.of(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_settled(path: Path) -> bytes:
    """Return a file's bytes, all of one moment. Raises ModelError, also when it is written meanwhile."""
    try:
        for _ in range(_TRIES):
            before = Stamp.of(path)
            if before.size_bytes > MAX_FILE_BYTES:
                raise ModelError(
                    f"{path}: {before.size_bytes} bytes is more than any board holds",
                    code="too_big",
                )
            content = path.read_bytes()
            if before.same_as(Stamp.of(path)):
                return content
    except OSError as error:
        raise _unreadable(path, error) from error
    raise ModelError(
        f"{path}: it is being written", code="unreadable", hint="submit once it is complete"
    )


def _unreadable(path: Path, error: OSError) -> ModelError:
    return ModelError(
        f"{path}: cannot read: {error.strerror}",
        code="unreadable",
        hint="edgeprof models list shows the models that come with the project",
    )
