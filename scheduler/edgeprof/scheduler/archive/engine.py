"""How the database is opened; what differs between SQLite and the others is all here."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from edgeprof.shared import private
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings

#: How long one writer waits for another before "database is locked".
_BUSY_TIMEOUT_S = 30.0


def url_of(settings: Settings) -> str:
    """Return the archive's SQLAlchemy URL: the configured one, or results.db in the data folder."""
    if settings.archive_url:
        return settings.archive_url
    try:
        private.make_folder(settings.data_dir)
    except OSError as error:
        raise InfrastructureError(
            f"the results archive needs {settings.data_dir}: {error.strerror}",
            hint="set EDGEPROF_DATA_DIR to a folder you may write, or EDGEPROF_ARCHIVE_URL",
        ) from None
    return f"sqlite:///{settings.data_dir.resolve() / 'results.db'}"


def create(url: str) -> Engine:
    """Make an engine; nothing is opened yet."""
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    _private(make_url(url).database)
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _private(database: str | None) -> None:
    """Make the file for its owner alone, or take it from others; SQLite makes those beside it the same."""
    if not database or database == ":memory:" or database.startswith("file:"):
        return
    with suppress(OSError):  # whoever opens it says what is wrong
        private.make_file(Path(database))
    for ending in ("", "-wal", "-shm", "-journal"):
        private.tighten(Path(database + ending))


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    # Python's sqlite3 would commit before DDL and so tear a migration apart; we say BEGIN ourselves.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Connection) -> None:
    # Not plain BEGIN: two transactions that read and then both want to write cannot wait for each
    # other, and SQLite would fail one at once, whatever the timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
