"""Reads files that others may be writing, and notices when their content has changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeprof.shared.errors import ModelError
from edgeprof.shared.types.wire import MAX_FILE_BYTES

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Stamp:
    """Metadata of a file that shows whether it was written while it was read."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the stamp of a file. Raises OSError."""
        stat = path.stat()
        return cls(
            device=stat.st_dev,
            inode=stat.st_ino,
            size_bytes=stat.st_size,
            modified_ns=stat.st_mtime_ns,
            changed_ns=stat.st_ctime_ns,
        )


def holds(path: Path, content: bytes) -> bool:
    """Whether the file has these bytes now. Raises ModelError when it cannot be read."""
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except OSError as error:
        raise _unreadable(path, error) from error


def read_settled(path: Path) -> bytes:
    """Return a file's bytes at one moment. Raises ModelError, also when it is written meanwhile."""
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
