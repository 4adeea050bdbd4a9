"""What a queued job waits for, in words: which boards could run it, and why none does."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.client.routing import has_tags, is_others
from edgeprof.shared.store.reservations import told
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.tags import written

_ABLE = (BoardState.ONLINE, BoardState.BUSY)
#: So many boards are named; of a larger lab they are counted.
_NAMED = 3


def what_it_waits_for(view: JobView, boards: Sequence[BoardInfo]) -> str | None:
    """Return what a queued job waits for, or None when it needs nothing but its turn now."""
    if view.state is not JobState.QUEUED:
        return None
    if reason := hindered(view, boards):
        return reason
    able = [board for board in _could(view, boards) if _takes(board, view)]
    if any(board.state is BoardState.ONLINE for board in able):
        return None
    if view.inputs and view.inputs.require:
        has = "has it, and is busy" if len(able) == 1 else "have it, and are busy"
        return f"waits for {_wanted(view)}: {_names(able)} {has}"
    busy = "1 board is" if len(able) == 1 else f"{len(able)} boards are"
    return f"waits for its turn: {busy} busy with other jobs"


def hindered(view: JobView, boards: Sequence[BoardInfo]) -> str | None:
    """Return why no board can take a queued job as things are, or None when one can."""
    could = _could(view, boards)
    if not could:
        return f"waits for {_wanted(view)}: no worker has announced one"
    if any(_takes(board, view) for board in could):
        return None
    return f"waits for {_why_not(could, view)}"


def _wanted(view: JobView) -> str:
    tags = view.inputs.require if view.inputs else {}
    return f"a board {view.target}" + (f" with {written(tags)}" if tags else "")


def _could(view: JobView, boards: Sequence[BoardInfo]) -> list[BoardInfo]:
    tags = view.inputs.require if view.inputs else {}
    return [
        board
        for board in boards
        if view.target in {board.device_id, board.platform} and has_tags(board, tags)
    ]


def _takes(board: BoardInfo, view: JobView) -> bool:
    return board.state in _ABLE and not is_others(board, view.user)


def _names(boards: Sequence[BoardInfo]) -> str:
    if len(boards) > _NAMED:
        return f"{len(boards)} boards"
    return ", ".join(board.device_id for board in boards)


def _why_not(boards: Sequence[BoardInfo], view: JobView) -> str:
    if len(boards) > _NAMED:
        return f"one of {len(boards)} boards, which are drained, quarantined, reserved or offline"
    return "; ".join(f"{board.device_id}, which is {_hindrance(board, view)}" for board in boards)


def _hindrance(board: BoardInfo, view: JobView) -> str:
    if board.state in _ABLE and board.reservation is not None and is_others(board, view.user):
        return told(board.reservation)
    state = "drained" if board.state is BoardState.DRAINING else str(board.state)
    return state + (f" ({board.reason})" if board.reason else "")
