"""What a queued job waits for, in words: which boards could run it, and why none does."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

_ABLE = (BoardState.ONLINE, BoardState.BUSY)
#: So many boards are named; of a larger lab they are counted.
_NAMED = 3


def what_it_waits_for(view: JobView, boards: Sequence[BoardInfo]) -> str | None:
    """Return what a queued job waits for, or None when it needs nothing but its turn now."""
    if view.state is not JobState.QUEUED:
        return None
    if reason := hindered(view, boards):
        return reason
    able = [board for board in _could(view, boards) if board.state in _ABLE]
    if any(board.state is BoardState.ONLINE for board in able):
        return None
    busy = "1 board is" if len(able) == 1 else f"{len(able)} boards are"
    return f"waits for its turn: {busy} busy with other jobs"


def hindered(view: JobView, boards: Sequence[BoardInfo]) -> str | None:
    """Return why no board can take a queued job as things are, or None when one can."""
    could = _could(view, boards)
    if not could:
        return f"waits for a board {view.target}: no worker has announced one"
    if any(board.state in _ABLE for board in could):
        return None
    return f"waits for {_why_not(could)}"


def _could(view: JobView, boards: Sequence[BoardInfo]) -> list[BoardInfo]:
    return [board for board in boards if view.target in {board.device_id, board.platform}]


def _why_not(boards: Sequence[BoardInfo]) -> str:
    if len(boards) > _NAMED:
        return f"one of {len(boards)} boards, which are drained, quarantined or offline"
    return "; ".join(
        f"{board.device_id}, which is {_state(board)}"
        + (f" ({board.reason})" if board.reason else "")
        for board in boards
    )


def _state(board: BoardInfo) -> str:
    return "drained" if board.state is BoardState.DRAINING else str(board.state)
