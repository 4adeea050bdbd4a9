"""A worker has its board blink, so that a person finds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.testing.fake_board import FakeBoard


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def worker_board(settings: Settings, board: FakeBoard) -> Iterator[WorkerBoard]:
    made = WorkerBoard(BoardConfig(url="x://"), settings, lambda *_: board)
    made.acquire()
    yield made
    made.release("the test is over")


def test_idle_board_blinks_and_a_busy_one_does_not(
    worker_board: WorkerBoard, board: FakeBoard
) -> None:
    """A board with a job does not blink, which would disturb the job's timings and its link."""
    assert worker_board.identify(3.0)
    with worker_board.in_use():
        assert not worker_board.identify()
    assert board.blinked_s == [3.0]
