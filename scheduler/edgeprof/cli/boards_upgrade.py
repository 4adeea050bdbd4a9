"""`edgeprof boards upgrade`: each agent puts its own firmware onto its boards, one after the other.

The first board of a platform that fails ends the upgrade of that platform: firmware that is bad for
one is bad for its like.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import groupby
from typing import Annotated, Any, Final

import typer

from edgeprof.cli import board_requests, completion, exits, output
from edgeprof.cli.tags import parse_tag
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import BoardNotFound, EdgeprofError, UsageError
from edgeprof.shared.store import released_port
from edgeprof.shared.store.boards import UPGRADED, BoardStore
from edgeprof.shared.types.board import BoardInfo, BoardState

#: A board with new firmware is opened and tested.
_BACK_S: Final = 120.0


def is_outdated(board: BoardInfo) -> bool:
    """Whether a board has other firmware than its agent would put onto it."""
    wanted = board.agent_firmware_git_hash
    return bool(wanted) and wanted != board.firmware_git_hash


def upgrade(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="BOARD", autocompletion=completion.boards, help="Names of boards."),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            "--platform",
            "-p",
            metavar="NAME",
            autocompletion=completion.platforms,
            help="All boards of a platform.",
        ),
    ] = None,
    tag: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="All boards with this tag.")
    ] = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout",
            min=1,
            metavar="SECONDS",
            help="How long a board's job, or its flash, may take.",
        ),
    ] = 1800,
    json: output.Json = False,
) -> None:
    """Put the firmware of its agent onto boards: drain, flash, self-test, resume.

    A board that has it already is left alone. After a failure the board stays drained, and the
    other boards of its platform keep what they have. Exit code 1 then.

    Example: edgeprof boards upgrade --platform esp32c3
    """
    results: list[dict[str, Any]] = []
    with Lab(hurried=True) as lab:
        boards = lab.store.boards
        chosen = _chosen(boards.all(), names or [], platform, tag)
        for name, like in groupby(sorted(chosen, key=_platform), _platform):
            results += _upgrade_alike(boards, name, list(like), timeout_s)
    if json:
        output.print_json(results)
    if any(each["outcome"] != "done" for each in results):
        raise typer.Exit(exits.JOB_FAILED)


def _platform(board: BoardInfo) -> str:
    return board.platform


def _chosen(
    known: Sequence[BoardInfo], names: Sequence[str], platform: str | None, tag: str | None
) -> list[BoardInfo]:
    if not (names or platform or tag):
        outdated = " ".join(board.device_id for board in known if is_outdated(board))
        raise UsageError(
            "which boards?",
            hint=f"edgeprof boards upgrade {outdated}"
            if outdated
            else "name boards, or --platform, or --tag; all boards have their agent's firmware",
        )
    if unknown := set(names) - {board.device_id for board in known}:
        raise BoardNotFound(
            f"no board {min(unknown)!r} in the lab", hint="edgeprof boards lists them"
        )
    name, value = parse_tag(tag) if tag is not None else ("", "")
    found = [
        board
        for board in known
        if (not names or board.device_id in names)
        and (platform is None or board.platform == platform)
        and (tag is None or board.tags.get(name) == value)
    ]
    if not found:
        raise BoardNotFound("no board of the lab is meant", hint="edgeprof boards lists them")
    return found


def _upgrade_alike(
    boards: BoardStore, platform: str, alike: Sequence[BoardInfo], timeout_s: float
) -> list[dict[str, Any]]:
    """Upgrade boards of one platform until one fails; returns a record of each."""
    results: list[dict[str, Any]] = []
    for place, board in enumerate(alike):
        if trouble := _no_need(board):
            output.note(f"{board.device_id}: {trouble}")
            results.append(_record(board, "done", trouble))
            continue
        try:
            said = _upgrade_one(boards, board, timeout_s)
        except _UpgradeError as failure:
            output.note(f"{board.device_id}: {failure}")
            if failure.hint:
                output.note(f"hint: {failure.hint}")
            results.append(_record(board, "failed", str(failure)))
            rest = alike[place + 1 :]
            if rest:
                left = ", ".join(each.device_id for each in rest)
                output.note(f"the other boards of platform {platform} are left as they are: {left}")
            return results + [_record(each, "left", "another board failed") for each in rest]
        output.note(f"{board.device_id}: {said}")
        results.append(_record(board, "done", said))
    return results


def _no_need(board: BoardInfo) -> str:
    if not board.agent_firmware_git_hash:
        return "its agent has no firmware for it: an emulated board starts with what is there"
    return "" if is_outdated(board) else "has its agent's firmware already"


class _UpgradeError(EdgeprofError):
    """Raised inside when a board was not upgraded."""


def _upgrade_one(boards: BoardStore, board: BoardInfo, timeout_s: float) -> str:
    """Upgrade one board; returns what its worker said. Raises _UpgradeError."""
    name = board.device_id
    if board.state in {BoardState.DRAINING, BoardState.OFFLINE}:
        raise _UpgradeError(
            f"it is {board.state}: {board.reason}", hint=f"edgeprof boards resume {name}"
        )
    asker = f"{board_requests.actor()}/upgrade"
    since_s = board_requests.last_change_s(boards, name)
    with output.stderr().status(f"{name}: waiting for its port"):
        boards.cordon(name, BoardState.DRAINING, asker, "upgrade", release_port=True)
        held = released_port.until_released(boards, name, timeout_s)
        if not released_port.is_released(held):
            boards.resume(name, asker, "not upgraded: its port was not released")
            raise _UpgradeError(f"its port was not released: {held.state} {held.reason}".strip())
    since_s = board_requests.last_change_s(boards, name)
    with output.stderr().status(f"{name}: its agent writes the firmware"):
        boards.ask("upgrade", name, asker)
        answer = board_requests.answer(boards, name, since_s, asker, timeout_s).reason
    if not answer.startswith(UPGRADED):
        raise _UpgradeError(
            answer,
            hint=f"it stays drained; mend it, then: edgeprof boards resume {name}",
        )
    with output.stderr().status(f"{name}: opened and tested again"):
        boards.resume(name, asker, answer)
        _until_back(boards, name)
    return answer


def _until_back(boards: BoardStore, name: str) -> None:
    """Wait until a board takes jobs again, with the firmware that was written."""
    deadline_s = time.monotonic() + _BACK_S
    while True:
        board = boards.named(name)
        takes_jobs = board.state is BoardState.ONLINE or board.job_id is not None
        if takes_jobs and not is_outdated(board):
            return
        if board.state is BoardState.QUARANTINED or time.monotonic() > deadline_s:
            raise _UpgradeError(
                f"the firmware is written, but the board is {board.state}: {board.reason}",
                hint=f"edgeprof boards test {name}; edgeprof boards history {name}",
            )
        time.sleep(released_port.LOOK_S)


def _record(board: BoardInfo, outcome: str, says: str) -> dict[str, Any]:
    return {"board": board.device_id, "platform": board.platform, "outcome": outcome, "says": says}
