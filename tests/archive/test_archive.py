"""What is archived can be found again, once, whole."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from edgeprof.scheduler.archive import Archive, Query
from edgeprof.scheduler.archive.tables import Base
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView

MakeView = Callable[..., JobView]


def test_round_trip_keeps_everything(archive: Archive, make_view: MakeView) -> None:
    """A job comes back equal to what went in, raw samples included."""
    view = make_view()

    archive.save([view])

    assert archive.find(Query()) == [view]
    assert archive.view(view.id) == view


def test_saving_again_replaces(archive: Archive, make_view: MakeView, archive_url: str) -> None:
    """The custodian may save a job any number of times; there is one row, with the last word."""
    archive.save([make_view(reason="first")])
    archive.save([make_view(reason="second"), make_view("job2")])

    assert [view.reason for view in archive.find(Query())] == ["second", "done"]
    with sqlite3.connect(archive_url.removeprefix("sqlite:///")) as database:
        assert database.execute("select count(*) from tests").fetchone() == (4,)
    database.close()


def test_failed_jobs_are_kept_without_numbers(archive: Archive, make_view: MakeView) -> None:
    """A failure is archived with its reason, and has no tests."""
    archive.save([make_view(state=JobState.FAILED, reason="does not fit")])

    (found,) = archive.find(Query(state=JobState.FAILED))

    assert (found.reason, found.result) == ("does not fit", None)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(), ["new", "old"]),
        (Query(platform="native"), ["new"]),
        (Query(quantization=Quantization.Q8_0), ["old"]),
        (Query(model="other"), []),
        (Query(since_s=1_800_000_000), ["new"]),
        (Query(sweep_id="s1"), ["old"]),
        (Query(limit=1), ["new"]),
    ],
)
def test_filters(archive: Archive, make_view: MakeView, query: Query, expected: list[str]) -> None:
    """Each filter narrows by its own column; the order is newest first."""
    archive.save(
        [
            make_view("old", finished_s=1_700_000_000.0, sweep_id="s1"),
            make_view("new", platform="native", quantization=Quantization.F32),
        ]
    )

    assert [view.id for view in archive.find(query)] == expected


def test_unknown_job_is_none(archive: Archive) -> None:
    """Asking for a job nobody archived is not an error."""
    assert archive.view("nobody") is None


def test_migrations_make_the_declared_tables(archive: Archive, archive_url: str) -> None:
    """The schema after all migrations is the one tables.py declares."""
    engine = create_engine(archive_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, Base.metadata)
    engine.dispose()

    assert differences == []


def _open(url: str) -> None:
    Archive(url).close()


def test_many_may_open_a_new_archive_at_once(archive_url: str) -> None:
    """Processes that start together make the tables one after the other."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(archive_url,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)

    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_newer_schema_is_refused(archive: Archive, archive_url: str) -> None:
    """An archive of a newer version is left alone, and said to be newer."""
    with sqlite3.connect(archive_url.removeprefix("sqlite:///")) as database:
        database.execute("update alembic_version set version_num = '9999'")
    database.close()

    with pytest.raises(InfrastructureError, match="schema this version does not know"):
        Archive(archive_url)


def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is not SQLite is one clear line, with the URL."""
    path = tmp_path / "results.db"
    path.write_text("not a database at all, but long enough to look at")

    with pytest.raises(InfrastructureError, match=r"results.db cannot be used"):
        Archive(f"sqlite:///{path}")


@pytest.mark.parametrize("url", ["nonsense", "mongodb://host/db"])
def test_wrong_url(url: str) -> None:
    """A URL that SQLAlchemy does not know is the caller's error."""
    with pytest.raises(UsageError, match="EDGEPROF_ARCHIVE_URL"):
        Archive(url)
