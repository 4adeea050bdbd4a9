"""Opens the database. All differences between SQLite and other databases are here."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url

from edgeprof.shared import private_files
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings

#: How long one writer waits for another before "database is locked". Writers need milliseconds, and
#: a writer that hangs must not keep the custodian from requeueing jobs.
_BUSY_TIMEOUT_S = 3.0

#: Execution option of connections that only read.
READS = "edgeprof_reads"


def url_of(settings: Settings) -> str:
    """Return the archive's SQLAlchemy URL: the configured one, or results.db in the data folder."""
    if settings.archive_url:
        return settings.archive_url
    try:
        private_files.make_folder(settings.data_dir)
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
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_S})
    event.listen(engine, "connect", _on_connect)
    event.listen(engine, "begin", _on_begin)
    return engine


def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
    # Python's sqlite3 would commit before DDL, in the middle of a migration. So BEGIN is ours.
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _on_begin(connection: Connection) -> None:
    if connection.get_execution_options().get(READS):
        connection.exec_driver_sql("BEGIN")  # a reader needs no lock
        return
    # Not plain BEGIN: two transactions that read and then both want to write cannot wait for each
    # other, and SQLite would fail one at once, whatever the timeout.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
