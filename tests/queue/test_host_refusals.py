"""What the machine refuses (files, memory, threads, processes) is the machine's fault, and ends
nothing else."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.cli import exits, run
from edgeprof.scheduler.known_stores import KnownStores
from edgeprof.shared import private_files
from edgeprof.shared.errors import HostFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.workers.host.supervisor import Supervised
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker.attempt import Attempts
from edgeprof.workers.worker.outbox import Outbox
from tests.support.board_infos import null_board
from tests.support.jobs import ref_of

REFUSALS = [
    OSError(24, "Too many open files", "/x"),
    MemoryError(),
    RuntimeError("can't start new thread"),
]


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*_args: Any, **_more: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["work", "lease"])
def test_what_an_attempt_is_refused_is_the_hosts_fault(
    store: LabStore,
    settings: Settings,
    make_spec: Callable[..., JobSpec],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    where: str,
) -> None:
    """A host that refuses an attempt its means, even a thread for the lease, returns the job at
    once."""
    board = null_board("a1")
    store.boards.announce(Owner(host="h", lock_domain="h", uid="a1"), board, 60)
    job = NewJob(make_spec())
    store.jobs.submit([job], "test")
    attempts = Attempts(
        store.jobs,
        settings,
        node="n",
        lock_domain="h",
        stopping=threading.Event(),
        telemetry=Sender(None),
        outbox=Outbox(settings.data_dir),
    )
    claimed = attempts.claim(job.id, board)
    assert claimed is not None
    if where == "lease":
        monkeypatch.setattr(claimed[1], "_thread", threading.Thread())
        monkeypatch.setattr(claimed[1]._thread, "start", raiser(error))

    fault = attempts.carry_out(*claimed, board, raiser(error))

    assert isinstance(fault, HostFault)
    assert fault.blame == "host"
    assert fault.hint
    assert store.jobs.state(job.id) is JobState.QUEUED


def test_worker_that_cannot_be_started_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The agent and its other workers go on; one line, and pauses that grow."""
    worker = Supervised("b", lambda _last_code: subprocess.Popen(["/does/not/exist"]))
    for _ in range(3):
        worker._start_at_s = 0
        worker.tend()

    assert worker.pid is None
    assert worker._pause_s > 1
    assert [r.levelno for r in caplog.records] == [logging.WARNING]
    assert "not started: No such file or directory" in caplog.text


def test_file_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    """A failed write leaves no part of a file, else each try would take more of a full disk."""
    (tmp_path / "taken").mkdir()

    with pytest.raises(OSError, match="taken"):
        private_files.write_whole(tmp_path / "taken", b"content")

    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_memory_of_stores_leaves_nothing_behind(settings: Settings) -> None:
    """The memory of stores leaves no part of a file when its write fails, which may be each
    second."""
    (settings.data_dir / "stores.json").mkdir(parents=True)
    memory = KnownStores(settings.data_dir)
    for _ in range(3):
        memory.keep("x", "1")

    assert [path.name for path in settings.data_dir.iterdir()] == ["stores.json"]


def test_rotten_file_that_cannot_be_replaced_fails_no_job(store: LabStore, tmp_path: Path) -> None:
    """One file of the cache is no reason while the rest of the disk takes what is written."""
    content = b"model"
    model = ref_of(content)
    store.blobs.put("m", content, model.sha256, 60)
    (tmp_path / "models" / f"{model.sha256}.gguf").mkdir(parents=True)
    cache = ModelCache(tmp_path, store.blobs)

    path = cache.fetch(model)

    assert path.read_bytes() == content
    store.script.redis.flushall()
    assert cache.fetch(model) == path


def test_result_that_cannot_be_removed_ends_no_worker(tmp_path: Path) -> None:
    """A delivered result that cannot be removed ends no worker; offered again it is refused by its
    epoch."""
    (tmp_path / "j1-1.json" / "x").mkdir(parents=True)

    Outbox(tmp_path).drop("j1", 1)


@pytest.mark.parametrize("error", REFUSALS[1:], ids=lambda error: type(error).__name__)
def test_exhausted_machine_is_no_bug(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line, and the exit code of what the lab runs on."""
    monkeypatch.setattr(run, "app", raiser(error))

    assert run.run(["boards"]) == exits.INFRASTRUCTURE
    said = capsys.readouterr().err
    assert "no more memory or threads" in said
    assert "bug" not in said
