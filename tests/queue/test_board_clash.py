"""A worker whose board another host has announced meanwhile gives its job back, and ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.testing import fake_job
from edgeprof.workers.testing.fake_board import FakeBoard
from edgeprof.workers.worker.consumer import CarryOut, Consumer
from edgeprof.workers.worker.outbox import Outbox
from edgeprof.workers.worker.shutdown import Shutdown


@pytest.fixture
def worker_board(settings: Settings) -> Iterator[WorkerBoard]:
    made = WorkerBoard(BoardConfig(url="x://"), settings, lambda *_: FakeBoard())
    made.acquire()
    made.ownership.announce(BoardState.ONLINE)
    yield made
    made.release("the test is over")


def lose_board(worker_board: WorkerBoard) -> None:
    """Let another host announce the board, as it may when ours was silent for too long."""
    worker_board.ownership.withdraw("silent")
    other = Owner(host="h2", lock_domain="elsewhere", uid=worker_board.info.uid)
    worker_board.store.boards.announce(other, worker_board.info, 60)


def notify(
    worker_board: WorkerBoard, settings: Settings, spec: JobSpec, carry_out: CarryOut
) -> tuple[str, list[str]]:
    """Submit the job and let the consumer have its doorbell; returns the job's id, and its end."""
    ends: list[str] = []
    consumer = Consumer(
        worker_board,
        settings,
        carry_out,
        Outbox(settings.data_dir),
        Shutdown(settings.stop_grace_s),
        lambda: ends.append("board gone"),
    )
    job = NewJob(spec)
    worker_board.store.jobs.submit([job], "test")
    consumer.on_doorbell(job.id)
    return job.id, ends


def test_clash_before_a_job_gives_it_back(
    worker_board: WorkerBoard,
    settings: Settings,
    make_spec: Callable[..., JobSpec],
    store: LabStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The job is not carried out and is queued again; the worker ends, and Celery sees no error."""
    lose_board(worker_board)

    def never(*_: Any) -> JobResult:
        raise AssertionError("carried out on another worker's board")

    job_id, ends = notify(worker_board, settings, make_spec(), never)

    assert ends == ["board gone"]
    assert "already driven" in caplog.text
    view = store.jobs.view(job_id)
    assert view.state is JobState.QUEUED
    assert view.attempts[0].code == "board_claimed"


def test_clash_during_a_job_keeps_its_result(
    worker_board: WorkerBoard,
    settings: Settings,
    make_spec: Callable[..., JobSpec],
    store: LabStore,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The lease was ours to the end; the worker ends, and Celery sees no error."""

    def lose_and_carry_out(*arguments: Any) -> JobResult:
        lose_board(worker_board)
        return fake_job.carry_out(*arguments)

    job_id, ends = notify(worker_board, settings, make_spec(), lose_and_carry_out)

    assert ends == ["board gone"]
    assert "already driven" in caplog.text
    assert store.jobs.view(job_id).state is JobState.SUCCEEDED
