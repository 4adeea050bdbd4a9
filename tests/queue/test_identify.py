"""A worker has its board blink, so that a person finds it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.managed_board import ManagedBoard
from edgeprof.workers.testing.fake_board import FakeBoard


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def managed(settings: Settings, board: FakeBoard) -> Iterator[ManagedBoard]:
    made = ManagedBoard(BoardConfig(url="x://"), settings, lambda *_: board)
    made.acquire()
    yield made
    made.release("the test is over")


def test_idle_board_blinks_and_a_busy_one_does_not(managed: ManagedBoard, board: FakeBoard) -> None:
    """A board that has a job does not blink: neither the job's timings nor its link are
    disturbed."""
    assert managed.identify(3.0)
    with managed.in_use():
        assert not managed.identify()
    assert board.blinked_s == [3.0]
