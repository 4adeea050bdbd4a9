"""Which of them is it? A worker has its board blink, unless a job has the board."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.managed_board import Bench


def test_idle_board_blinks_and_a_busy_one_does_not(settings: Settings) -> None:
    """A job's timings are not disturbed for it, nor its link."""
    asked: list[float] = []
    bench = Bench(BoardConfig(url="x://"), settings, cast(Any, None))
    bench.board = cast(Any, SimpleNamespace(identify=asked.append))

    assert bench.identify(3.0)
    with bench.in_use():
        assert not bench.identify()
    assert asked == [3.0]
