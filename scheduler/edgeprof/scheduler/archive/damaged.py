"""Reads what is left of an SQLite archive that is damaged. The file is opened read-only."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.result import JobView

#: More rows do not fit on a page of the smallest size, so no row lies beyond this many a page.
_ROWS_A_PAGE: Final = 16


@dataclass(frozen=True, slots=True)
class Rescued:
    """Jobs that could be read, and what could not."""

    views: tuple[JobView, ...]
    #: Ids of jobs that the file knows of, and whose records are lost.
    lost: tuple[str, ...]


def rescue(path: Path) -> Rescued:
    """Read job by job, passing over what cannot be read. Raises UsageError when nothing can."""
    place = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(place, uri=True)) as database:
            # By the index, which other pages hold.
            known = {row[0] for row in _rows(database, "SELECT id FROM jobs ORDER BY id")}
            views = _views(database)
    except sqlite3.Error as error:
        raise UsageError(
            f"{path}: nothing of it can be read: {error}",
            hint="is it the file of an archive (results.db)? jobs of the last days are in Redis",
        ) from None
    found = {view.id for view in views}
    return Rescued(tuple(views), tuple(sorted(known - found)))


def _views(database: sqlite3.Connection) -> list[JobView]:
    """Return the jobs by their numbers in the table, each looked up by itself."""
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    last = next(iter(_rows(database, "SELECT max(rowid) FROM jobs")), (None,))[0]
    views = []
    for number in range(1, (last or _ROWS_A_PAGE * pages) + 1):
        for (document,) in _rows(database, "SELECT document FROM jobs WHERE rowid = ?", number):
            try:
                views.append(JobView.read(document))
            except (ValueError, TypeError):
                continue
    return views


def _rows(database: sqlite3.Connection, statement: str, *values: object) -> list[Any]:
    """Return rows as far as they can be read. Raises sqlite3.Error when there is no such table."""
    rows = []
    try:
        for row in database.execute(statement, values):
            rows.append(row)  # noqa: PERF402 - what came before an error counts
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise
    return rows
