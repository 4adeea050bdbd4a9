"""Chooses where a job may run, among the boards that were announced. No I/O."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import Target


def choose_target(
    platform: str | None, board: str | None, boards: Sequence[BoardInfo], *, wait_for_board: bool
) -> Target:
    """Return the target, or raise UsageError that lists what exists.

    A board that is offline is a target too, for it may come back. A name that was never announced
    is taken for a typo, unless the caller wants to wait for it.
    """
    if (platform is None) == (board is None):
        raise UsageError("name either a platform or a board", hint=_what_exists(boards))
    if board is not None:
        if wait_for_board or board in {known.device_id for known in boards}:
            return Target(device_id=board)
        raise _unknown("board", board, sorted(known.device_id for known in boards))
    if wait_for_board or platform in {known.platform for known in boards}:
        return Target(platform=platform)
    raise _unknown("platform", str(platform), sorted({known.platform for known in boards}))


def boards_of(target: Target, boards: Iterable[BoardInfo]) -> list[BoardInfo]:
    """Return the announced boards that may take a job for this target."""
    return [
        board
        for board in boards
        if target in (Target(device_id=board.device_id), Target(platform=board.platform))
    ]


def platform_of(target: Target, able: Sequence[BoardInfo]) -> str:
    """Return the platform of a target, whose boards are `able`; "" where none is known."""
    return target.platform or next((board.platform for board in able), "")


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
