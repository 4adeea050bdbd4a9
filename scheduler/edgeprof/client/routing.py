"""Chooses where a job may run, among the boards that were announced. No I/O."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobSpec, Target, board_queue
from edgeprof.shared.types.tags import written

_NO_TAGS: Final[Mapping[str, str]] = {}
_ABLE: Final = (BoardState.ONLINE, BoardState.BUSY)
#: So many boards are named; the others are counted.
_SHOWN: Final = 5


def choose_target(
    platform: str | None,
    board: str | None,
    boards: Sequence[BoardInfo],
    *,
    wait_for_board: bool,
    require: Mapping[str, str] = _NO_TAGS,
) -> Target:
    """Return the target, or raise UsageError that lists what exists.

    A board that is offline is a target too, for it may come back. A name that was never announced,
    or a tag that no such board has, is taken for a typo, unless the caller wants to wait for it.
    """
    if (platform is None) == (board is None):
        raise UsageError("name either a platform or a board", hint=_what_exists(boards))
    target = Target(platform=platform, device_id=board)
    if wait_for_board:
        return target
    able = boards_of(target, boards)
    if not able and board is not None:
        raise _unknown("board", board, sorted(known.device_id for known in boards))
    if not able:
        raise _unknown("platform", str(platform), sorted({known.platform for known in boards}))
    if not boards_of(target, boards, require):
        raise _without(target, require, able)
    return target


def boards_of(
    target: Target, boards: Iterable[BoardInfo], require: Mapping[str, str] = _NO_TAGS
) -> list[BoardInfo]:
    """Return the announced boards with these tags that may take a job for this target."""
    return [
        board
        for board in boards
        if target in (Target(device_id=board.device_id), Target(platform=board.platform))
        and has_tags(board, require)
    ]


def platform_of(target: Target, able: Sequence[BoardInfo]) -> str:
    """Return the platform of a target, whose boards are `able`; "" where none is known."""
    return target.platform or next((board.platform for board in able), "")


def has_tags(board: BoardInfo, tags: Mapping[str, str]) -> bool:
    """Whether a board has all of these tags."""
    return tags.items() <= board.tags.items()


def told_by(specs: Sequence[JobSpec], boards: Iterable[BoardInfo]) -> list[str | None]:
    """Return for each job the queue whose doorbell tells of it, as NewJob.told_by has it.

    All boards of a platform hear its queue. So of a job that wants tags, one of the boards that
    have them is told by its own queue, each in its turn.
    """
    turns: dict[str, Iterator[str]] = {}
    told: list[str | None] = []
    for spec in specs:
        if not spec.require or spec.target.platform is None:
            told.append(None)
            continue
        kind = f"{spec.target} {written(spec.require)} {spec.user}"
        if kind not in turns:
            able = [
                board
                for board in boards_of(spec.target, boards, spec.require)
                if board.state in _ABLE and not is_others(board, spec.user)
            ]
            able.sort(key=lambda board: board.state is BoardState.BUSY)  # idle ones first
            queues = [board_queue(board.device_id) for board in able]
            turns[kind] = itertools.cycle(queues or [""])
        told.append(next(turns[kind]))
    return told


def is_others(board: BoardInfo, user: str) -> bool:
    """Whether a board is reserved by another user."""
    return board.reservation is not None and board.reservation.user != user


def _without(target: Target, tags: Mapping[str, str], able: Sequence[BoardInfo]) -> UsageError:
    shown = [f"{board.device_id}: {written(board.tags) or 'no tags'}" for board in able[:_SHOWN]]
    more = f"; {len(able) - _SHOWN} more" if len(able) > _SHOWN else ""
    which = f"board {target} has not" if target.device_id else f"no board of {target} has"
    return UsageError(
        f"{which} the tag{'s' * (len(tags) > 1)} {written(tags)} ({'; '.join(shown)}{more})",
        hint="tags are written in boards.toml of a board's host;"
        " --wait-for-board (wait_for_board=True) queues the job until one has them",
    )


def _unknown(kind: str, name: str, known: Sequence[str]) -> UsageError:
    close = difflib.get_close_matches(name, known, n=1)
    guess = f"; did you mean {close[0]!r}?" if close else ""
    listed = ", ".join(known) if known else "none: no worker has announced one yet"
    return UsageError(
        f"no {kind} {name!r} in this lab{guess} (known {kind}s: {listed})",
        hint="--wait-for-board (wait_for_board=True) queues the job until one appears",
    )


def _what_exists(boards: Sequence[BoardInfo]) -> str:
    if not boards:
        return "no worker has announced a board yet; start one with: edgeprof worker"
    platforms = ", ".join(sorted({board.platform for board in boards}))
    return f"platforms: {platforms}; boards: {', '.join(board.device_id for board in boards)}"
