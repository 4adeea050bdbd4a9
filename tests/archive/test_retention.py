"""EDGEPROF_ARCHIVE_KEEP_DAYS: old jobs leave the archive, a little at a time, and no others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from edgeprof.scheduler.archive import Archive, Query
from edgeprof.scheduler.archive import retention as module
from edgeprof.scheduler.archive.retention import Retention
from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.settings import Settings

DAY_S = 86400.0


@pytest.fixture
def filled(archive: Archive, make_view: Callable[..., Any]) -> Archive:
    """Jobs that finished 0 to 9 days ago."""
    now_s = time.time()
    archive.save([make_view(id=f"d{n}", finished_s=now_s - n * DAY_S - 60) for n in range(10)])
    return archive


def kept(archive: Archive) -> list[str]:
    return [view.id for view in archive.find(Query())]


def test_only_older_jobs_are_deleted(filled: Archive, archive_url: str) -> None:
    """A job older than the limit is deleted with all that belongs to it; a younger one stays."""
    Retention(filled, 4)()

    assert kept(filled) == ["d0", "d1", "d2", "d3"]
    engine = create_engine(archive_url)
    with engine.connect() as connection:
        left = connection.execute(text("SELECT DISTINCT job_id FROM tests ORDER BY 1")).scalars()
        assert set(left) <= {"d0", "d1", "d2", "d3"}
    engine.dispose()


def test_one_batch_a_call(filled: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, so that no writer waits for long."""
    monkeypatch.setattr(module, "BATCH", 2)
    forget = Retention(filled, 4)
    sizes = []
    for _ in range(4):
        forget()
        sizes.append(len(kept(filled)))

    assert sizes == [8, 6, 4, 4]


def test_unset_keeps_for_ever(filled: Archive) -> None:
    """Nobody loses results who did not ask for it."""
    Retention(filled, Settings().archive_keep_days)()

    assert len(kept(filled)) == 10


def test_scheduler_does_it(
    filled: Archive, settings: Settings, wait_until: Callable[..., None]
) -> None:
    """The scheduler deletes old jobs at its ticks, also when no job ever finishes."""
    stop = threading.Event()
    arguments = (settings, filled.save, stop, Retention(filled, 4))
    thread = threading.Thread(target=run_scheduler, args=arguments)
    thread.start()
    try:
        wait_until(lambda: len(kept(filled)) == 4, "the old jobs are gone")
    finally:
        stop.set()
        thread.join()
