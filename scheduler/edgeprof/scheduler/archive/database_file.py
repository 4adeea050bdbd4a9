"""Whether the file at an SQLite archive's path is still the one that is open.

A file that is deleted or replaced stays open, and SQLite goes on writing into it without an error.
So the path is compared with the open file before each use and after each commit. Only then is a job
in the archive.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from sqlalchemy import make_url

from edgeprof.shared import private_files

#: SQLite's own files beside the database. If they stayed, SQLite would apply them to the next file.
_BESIDE: Final = ("-wal", "-shm", "-journal")


class DatabaseFile:
    """The file of one archive."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: dict[str, tuple[int, int] | None] = {}

    @classmethod
    def of(cls, url: str) -> Self | None:
        """Return the file of an archive's URL, or None for another database or one in memory."""
        place = make_url(url)
        name = place.database
        if place.get_backend_name() != "sqlite" or not name or name == ":memory:":
            return None
        return None if name.startswith("file:") else cls(Path(name).absolute())

    def prepare(self) -> None:
        """Make the file readable by its owner only. Errors are left to the open that follows."""
        with suppress(OSError):
            private_files.make_folder(self._path.parent)
            private_files.make_file(self._path)
        for ending in ("", *_BESIDE):
            private_files.tighten(self._beside(ending))

    def opened(self) -> None:
        """Remember the file at the path, which has just been opened."""
        self._opened = self._found()

    def changed(self) -> str:
        """Return what happened to the opened file ("was deleted"); "" when it is still there."""
        found = self._found()
        if found == self._opened:
            return ""
        if found[""] is None:
            return "was deleted"
        if found[""] != self._opened[""]:
            return "was replaced by another file"
        return "has lost its write-ahead log"

    def clear(self) -> None:
        """Remove SQLite's own files that the file opened before has left."""
        found = self._found()
        if found[""] == self._opened[""]:
            return
        if found["-wal"] in {None, self._opened["-wal"]} or found[""] is None:
            for ending in _BESIDE:
                self._beside(ending).unlink(missing_ok=True)

    def _found(self) -> dict[str, tuple[int, int] | None]:
        return {ending: _identity(self._beside(ending)) for ending in ("", "-wal")}

    def _beside(self, ending: str) -> Path:
        return self._path.with_name(self._path.name + ending)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - its two numbers
    except OSError:
        return None
    return found.st_dev, found.st_ino
