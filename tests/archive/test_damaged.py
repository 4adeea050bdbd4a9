"""A damaged archive gives what is left of it, says what is lost, and is not changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.scheduler.archive import Archive, Query
from edgeprof.scheduler.archive.damaged import rescue
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.types.result import JobView

MakeView = Callable[..., JobView]
PAGE = 4096


@pytest.fixture
def damaged(tmp_path: Path, archive_url: str, make_view: MakeView) -> Path:
    """An archive of 40 jobs, the pages in the middle of whose table are overwritten."""
    path = tmp_path / "results.db"
    with Archive(archive_url) as archive:
        archive.save([make_view(f"job{n:02}") for n in range(40)])
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    content = bytearray(path.read_bytes())
    first = content.index(b'"id": "job20"') // PAGE * PAGE
    content[first : first + 3 * PAGE] = b"\xa5" * (3 * PAGE)
    path.write_bytes(content)
    return path


def test_what_is_left_is_read_and_what_is_lost_is_named(damaged: Path) -> None:
    """Jobs before and after the damage come back whole."""
    before = damaged.read_bytes()

    found = rescue(damaged)

    ids = {view.id for view in found.views}
    assert {"job00", "job39"} <= ids
    assert found.lost
    assert ids | set(found.lost) == {f"job{n:02}" for n in range(40)}
    assert not ids & set(found.lost)
    assert damaged.read_bytes() == before


def test_the_error_names_the_way_out(damaged: Path, archive_url: str) -> None:
    """Whoever uses the archive is told how to read what is left."""
    with pytest.raises(InfrastructureError) as caught, Archive(archive_url) as archive:
        archive.find(Query())
    assert "edgeprof export --damaged" in (caught.value.hint or "")


@pytest.mark.parametrize("content", [b"", b"no database at all, and long enough to see" * 9])
def test_a_file_that_is_no_archive_is_told(tmp_path: Path, content: bytes) -> None:
    """One line, and no file is made."""
    path = tmp_path / "x.db"
    path.write_bytes(content)
    for wrong in (path, tmp_path / "absent.db"):
        with pytest.raises(UsageError, match="nothing of it can be read"):
            rescue(wrong)
    assert not (tmp_path / "absent.db").exists()
