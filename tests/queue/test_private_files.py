"""Results, logs, prompts and logins on disk are their owner's alone, and nobody else's mode is
changed."""

from __future__ import annotations

import errno
import logging
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeprof.scheduler.archive import Archive
from edgeprof.shared import own_folders, private_files
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import logs
from edgeprof.workers.worker.outbox import Outbox

EDGEPROF = (sys.executable, "-m", "edgeprof.cli")
NOBODY = 65534
ROOT = os.geteuid() == 0
UMASKS = pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(*folders: Path) -> list[str]:
    """Return what is in these folders and others could read, write or enter, and the folders so."""
    found = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return [f"{path} {mode(path):o}" for path in found if mode(path) & 0o077]


@contextmanager
def umask_of(umask: int) -> Iterator[None]:
    before = os.umask(umask)
    try:
        yield
    finally:
        assert os.umask(before) == umask, "a library has changed the umask of the process"


@pytest.fixture
def own(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Settings]:
    """Settings with an embedded Redis, in folders that do not exist yet."""
    settings = settings.model_copy(update={"redis_url": None})
    yield settings
    redis_server.stop(settings)


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:], root.level = handlers, level


@pytest.mark.e2e
def test_a_lab_leaves_nothing_open(
    own: Settings, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """Embedded Redis, archive, logs, caches of a lab that has measured, though the umask is 0."""
    environment = {**os.environ, **own.as_environment()}
    output = (tmp_path / "output.txt").open("wb")

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*EDGEPROF, *arguments], env=environment, umask=0, stdout=output, stderr=output
        )

    services = [start("scheduler"), start("worker", "--board", "native://?uid=01")]
    try:
        size = ("-p", "4", "-n", "4", "-r", "1")
        wait_until(
            lambda: (
                start(
                    "submit", "-m", "shakespeare-240k", "-q", "Q8_0", "--platform", "native", *size
                ).wait()
                == 0
            ),
            "a job was measured",
            timeout_s=60,
        )
        archive = own.data_dir / "results.db-wal"
        wait_until(lambda: archive.exists() and archive.stat().st_size, "it is archived")
        assert open_to_others(own.data_dir, own.cache_dir, own.log_dir) == []
        made = {path.name for path in (*own.data_dir.rglob("*"), *own.cache_dir.rglob("*"))}
        assert {"results.db", "results.db-shm", "appendonlydir", "server.json", "models"} <= made
        assert len(list(own.log_dir.glob("*.jsonl"))) == 3
    finally:
        for service in services:
            service.terminate()
        for service in services:
            service.wait()
        output.close()


@UMASKS
def test_what_the_library_makes_is_private_and_the_umask_stays(own: Settings, umask: int) -> None:
    """The library's files are private, and the umask of the program that imports it stays."""
    with umask_of(umask):
        redis_server.connect(own).close()
        Archive.open(own).close()
        private_files.make_folder(own.cache_dir / "models")

    assert open_to_others(own.data_dir, own.cache_dir) == []


def test_a_file_that_was_asked_for_is_the_users(tmp_path: Path) -> None:
    """A file written with -o follows the caller's umask."""
    umask = 0o027
    out = tmp_path / "made.gguf"
    done = subprocess.run(
        [*EDGEPROF, "models", "quantize", "shakespeare-240k", "Q8_0", "-o", str(out)],
        check=False,
        umask=umask,
        capture_output=True,
        text=True,
        env={**os.environ, "EDGEPROF_DATA_DIR": str(tmp_path), "EDGEPROF_CACHE_DIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert mode(out) == 0o666 & ~umask


def an_older_version(settings: Settings) -> list[Path]:
    """Make what was left by it, all of it open; returns everything that is ours."""
    files = [
        *(settings.data_dir / name for name in ("results.db", "results.db-wal", "results.db-shm")),
        settings.data_dir / "redis" / "appendonlydir" / "appendonly.aof.1.incr.aof",
        settings.data_dir / "redis" / "redis.log",
        settings.data_dir / "flower" / "flower.db",
        settings.data_dir / "undelivered" / "j1-1.json",
        settings.cache_dir / "models" / "a.gguf",
        settings.cache_dir / "slots" / "a.slot",
        settings.log_dir / "profiler-testhost-1.jsonl",
        settings.log_dir / "profiler-testhost-1.jsonl.1",
    ]
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret")
        path.chmod(0o644)
    folders = {parent for path in files for parent in path.parents}
    ours = [folder for folder in folders if folder.is_relative_to(settings.data_dir.parent)]
    ours.remove(settings.data_dir.parent)
    for folder in ours:
        folder.chmod(0o755)
    return files + ours


def test_what_older_versions_left_is_closed(settings: Settings) -> None:
    """A service closes every file and folder of older versions when it starts."""
    ours = an_older_version(settings)
    before = os.umask(0o022)
    try:
        own_folders.start_service(settings)
    finally:
        set_to = os.umask(before)

    assert [f"{path} {mode(path):o}" for path in ours if mode(path) & 0o077] == []
    assert set_to == 0o077


def test_a_folder_that_holds_more_is_not_closed(settings: Settings) -> None:
    """EDGEPROF_LOG_DIR=/var/log: our files are closed, folder and files of others stay."""
    ours = an_older_version(settings)
    others = []
    for folder in (settings.data_dir, settings.cache_dir, settings.log_dir):
        others.append(folder / "of-another-program")
        others[-1].write_text("")
        others[-1].chmod(0o644)
        others.append(folder)
    own_folders.tighten(settings)

    assert {mode(path) for path in others} == {0o644, 0o755}
    assert {mode(path) & 0o077 for path in ours if path not in others} == {0}


def test_a_folder_for_all_is_not_closed(settings: Settings) -> None:
    """EDGEPROF_LOG_DIR=/tmp by root would shut everybody out of it."""
    settings.log_dir.mkdir()
    settings.log_dir.chmod(0o1777)
    own_folders.tighten(settings)

    assert mode(settings.log_dir) == 0o1777


def test_no_link_is_followed_to_tighten(settings: Settings, tmp_path: Path) -> None:
    """A name of ours may be planted in a folder that others write."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("")
    (victim / "file").chmod(0o644)
    victim.chmod(0o755)
    for folder in (settings.data_dir, settings.log_dir):
        folder.mkdir()
    (settings.data_dir / "redis").symlink_to(victim)
    (settings.data_dir / "results.db").symlink_to(victim / "file")
    (settings.log_dir / "profiler-a.jsonl").symlink_to(victim / "file")
    (settings.log_dir / "profiler-b.jsonl").hardlink_to(victim / "file")
    own_folders.tighten(settings)

    assert (mode(victim), mode(victim / "file")) == (0o755, 0o644)


def test_an_archive_by_url_is_private_too(settings: Settings, tmp_path: Path) -> None:
    """An archive given by URL is private: a new one is made so, an old one is closed."""
    new, old = tmp_path / "new.db", tmp_path / "old.db"
    old.touch()
    old.chmod(0o644)
    with umask_of(0o000):
        for path in (new, old):
            changed = settings.model_copy(update={"archive_url": f"sqlite:///{path}"})
            with Archive.open(changed):
                beside = sorted(tmp_path.glob(f"{path.name}*"))
                assert {mode(each) for each in beside} == {0o600}


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize("kind", ["link", "pipe", "hard link", "of another user"])
@pytest.mark.timeout(30)
def test_what_is_planted_as_a_log_costs_the_log_only(
    settings: Settings, tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A planted file in a folder that others write is not written into, and that is said."""
    settings.log_dir.mkdir()
    path = settings.log_dir / f"profiler-testhost-{os.getpid()}.jsonl"
    victim = tmp_path / "victim"
    victim.write_text("before")
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        path.hardlink_to(victim)
    elif kind == "of another user" and ROOT:
        path.touch()
        os.chown(path, NOBODY, NOBODY)
    else:
        os.mkfifo(path)
    logs.configure(settings, "test")
    logging.getLogger("test").warning("a line")

    assert victim.read_text() == "before"
    assert f"no log file at {path}" in capfd.readouterr().err


@pytest.mark.usefixtures("root_logger")
def test_rotated_logs_stay_private(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file after a rotation is made as the first was."""
    monkeypatch.setattr(logs, "_ROTATE_BYTES", 1000)
    with umask_of(0o000):
        logs.configure(settings, "test")
        for _ in range(10):
            logging.getLogger("test").warning("a line")

    assert len(list(settings.log_dir.iterdir())) > 2
    assert open_to_others(settings.log_dir) == []


def test_kept_results_are_private(settings: Settings, result: Any) -> None:
    """Results kept on disk are private, since they hold what the archive would."""
    with umask_of(0o000):
        Outbox(settings.data_dir / "undelivered").keep("j1", 1, result)

    assert list((settings.data_dir / "undelivered").glob("*.json"))
    assert open_to_others(settings.data_dir) == []


def test_a_file_that_cannot_be_finished_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes are on the disk before the name is theirs; a disk that refuses them costs nothing
    else."""
    path = tmp_path / "kept"
    private_files.write_whole(path, b"old")
    named: list[bytes] = []

    def full(_descriptor: int) -> None:
        named.append(path.read_bytes())
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        private_files.write_whole(path, b"new")

    assert named == [b"old"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert path.read_bytes() == b"old"
