"""Reading files that others may be writing: a name never stands for content that it no longer has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeprof.shared.errors import ModelError
from edgeprof.shared.types.wire import MAX_FILE_BYTES

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells that a file was written while it was read; of an earlier look it proves nothing."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

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
        )


def holds(path: Path, content: bytes) -> bool:
    """Whether this is what a file holds now. Raises ModelError when it cannot be read."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
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
            if before == Stamp.of(path):
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
