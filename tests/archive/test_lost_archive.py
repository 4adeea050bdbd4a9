"""An archive that goes away, or cannot be written, costs no job: it is noticed, told once, and made
up for."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import event

from edgeprof.scheduler import service
from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.custodian import Custodian
from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobView

MODEL = ModelRef(name="nothing", sha256="0" * 64, size_bytes=1, quantization="F32", n_params=1,
                 n_ctx_train=64, n_vocab=16)  # fmt: skip


class Desk:
    """A scheduler's custodian with its archive, ticked by hand."""

    def __init__(self, store: LabStore, settings: Settings, path: Path) -> None:
        self.store, self.settings, self.path = store, settings, path
        self.registry = CollectorRegistry()
        self.archive, self.custodian = self._open()
        self.said = ""

    def _open(self) -> tuple[Archive, Custodian]:
        archive = Archive(f"sqlite:///{self.path}")
        metrics = CustodianMetrics(self.registry)
        return archive, Custodian(self.store, self.settings, archive.save, metrics, archive.holds)

    def restart(self) -> None:
        self.close()
        self.registry = CollectorRegistry()
        self.archive, self.custodian = self._open()
        self.custodian.start()

    def close(self) -> None:
        self.custodian.resign()
        self.archive.close()

    def end_jobs(self, count: int) -> set[str]:
        """Let so many jobs end."""
        spec = JobSpec(model=MODEL, target=Target(platform="null"), n_ctx=64,
                       cases=(TestCase(prompt_tokens=(1,), n_gen=1),))  # fmt: skip
        jobs = [NewJob(spec) for _ in range(count)]
        self.store.jobs.submit(jobs, "test")
        for job in jobs:
            self.store.jobs.cancel(job.id, "test", "enough")
        return {job.id for job in jobs}

    def tick(self) -> str:
        """As the scheduler does; returns the trouble."""
        self.said = service._tick(self.custodian, lambda: None, self.said)
        return self.said

    def kept(self) -> set[str]:
        """The jobs that are in the file at the archive's path, read by somebody else."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)) as database:
            return {row[0] for row in database.execute("select id from jobs")}

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def desk(store: LabStore, settings: Settings, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(store, settings, tmp_path / "archive" / "results.db")
    yield made
    made.close()


def beside(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + ending) for ending in ("-wal", "-shm"))]


def delete_file(path: Path) -> None:
    path.unlink()


def delete_all(path: Path) -> None:
    for each in beside(path):
        each.unlink(missing_ok=True)


def delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def replace(path: Path) -> None:
    """By an archive of somebody else, while the log of the old one still lies there."""
    other = path.with_name("other.db")
    Archive(f"sqlite:///{other}").close()
    other.replace(path)


def empty(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("delete from tests")
        database.execute("delete from jobs")
        database.commit()


LOSSES = [delete_file, delete_all, delete_folder, replace, empty]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_jobs_in_redis_are_archived_again(
    desk: Desk, lose: Callable[[Path], None], restarted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that is in Redis is soon in the archive, whatever happened to the archive meanwhile."""
    old = desk.end_jobs(150)
    assert desk.tick() == ""
    assert desk.kept() == old
    if restarted:
        desk.close()
    lose(desk.path)
    if restarted:
        desk.restart()

    new = desk.end_jobs(2)
    for _ in range(6):
        desk.tick()

    assert desk.kept() == old | new
    assert desk.store.maintenance.unarchived_count() == 0
    assert desk.tick() == ""
    assert len([line for line in caplog.messages if "has lost jobs" in line]) == 1
    counted = 2 if restarted else 152
    finished = {"platform": "unknown", "state": "cancelled", "fault_class": "none"}
    assert desk.metric("edgeprof_jobs_finished_total", **finished) == counted
    assert desk.metric("edgeprof_archive_usable") == 1


def test_an_older_copy_is_brought_up_to_date(desk: Desk) -> None:
    """A backup that is put back has the jobs of its time: those since then come from Redis."""
    old = desk.end_jobs(3)
    desk.tick()
    copy = desk.path.with_name("copy.db")
    with closing(sqlite3.connect(desk.path)) as now, closing(sqlite3.connect(copy)) as kept:
        now.backup(kept)
    since = desk.end_jobs(3)
    desk.tick()
    copy.replace(desk.path)
    for _ in range(2):
        desk.tick()

    assert desk.kept() == old | since


def test_much_is_archived_again_a_batch_a_tick(desk: Desk) -> None:
    """Redis and the custodian's other duties do not wait for all of a large lab."""
    desk.end_jobs(450)
    desk.tick()
    desk.close()
    delete_all(desk.path)
    desk.restart()

    counts: list[int] = []
    while not counts or counts[-1] < 450:
        desk.tick()
        counts.append(len(desk.kept()))

    assert counts == [100, 200, 300, 400, 450]
    assert desk.store.maintenance.unarchived_count() == 0


def test_what_retention_deleted_is_not_missed(
    store: LabStore, settings: Settings, tmp_path: Path
) -> None:
    """The archive may keep jobs for a shorter time than Redis; then it is empty and well."""
    desk = Desk(
        store, settings.model_copy(update={"archive_keep_days": 1e-6}), tmp_path / "results.db"
    )
    try:
        desk.end_jobs(3)
        desk.tick()
        empty(desk.path)
        desk.tick()

        assert desk.kept() == set()
    finally:
        desk.close()


@pytest.mark.parametrize("lose", [delete_file, delete_all, replace], ids=lambda lose: lose.__name__)
def test_file_that_goes_while_jobs_are_written(
    archive: Archive, archive_url: str, make_view: Any, lose: Callable[[Path], None]
) -> None:
    """A job written into a file that has lost its name does not count as archived."""
    path = Path(archive_url.removeprefix("sqlite:///"))

    class Views(list[JobView]):
        def __iter__(self) -> Iterator[JobView]:
            lose(path)
            return super().__iter__()

    with pytest.raises(InfrastructureError, match="while it was in use"):
        archive.save(Views([make_view()]))
    archive.save([make_view("job2")])

    assert archive.holds(["job2"])
    assert not archive.holds(["job1", "job2"])


def failing(pragma: str) -> Callable[[Archive], Any]:
    """Have SQLite itself refuse every write, by a limit that the connection is told."""

    @contextmanager
    def trouble(archive: Archive) -> Iterator[None]:
        def limit(connection: Any, _record: Any) -> None:
            connection.execute(pragma)

        event.listen(archive._engine, "connect", limit)
        archive._engine.dispose()
        yield
        event.remove(archive._engine, "connect", limit)
        archive._engine.dispose()

    return trouble


@contextmanager
def locked(archive: Archive) -> Iterator[None]:
    assert archive._engine.url.database
    with closing(sqlite3.connect(archive._engine.url.database)) as other:
        other.execute("begin immediate")
        yield


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (failing("pragma max_page_count = 1"), "full"),
        (failing("pragma query_only = on"), "readonly"),
        (locked, "locked"),
    ],
    ids=["full", "read-only", "locked"],
)
def test_archive_that_takes_nothing_is_told_once(
    desk: Desk, trouble: Any, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An archive that takes nothing shows in health and metric while it lasts, and in the log once;
    jobs wait, and other duties go on."""
    desk.end_jobs(1)
    desk.tick()
    with trouble(desk.archive):
        waiting = desk.end_jobs(60)
        told = [desk.tick() for _ in range(2)]
        assert all(said in text for text in told)
        assert desk.metric("edgeprof_archive_usable") == 0
        assert desk.store.maintenance.unarchived_count() == 60
        assert desk.metric("edgeprof_custodian_leading") == 1
    assert desk.tick() == ""

    assert waiting < desk.kept()
    assert desk.metric("edgeprof_archive_usable") == 1
    assert len([line for line in caplog.messages if said in line and "trying on" in line]) == 1


def test_locked_archive_can_be_read(archive: Archive, make_view: Any) -> None:
    """A reader of results waits for no writer."""
    archive.save([make_view()])
    with locked(archive):
        assert archive.view("job1") == make_view()
