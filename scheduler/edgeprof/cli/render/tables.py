"""Tables of jobs and boards."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.humanize import ago, human_bytes
from edgeprof.client.model_names import ModelNames, Named
from edgeprof.client.waits import what_it_waits_for
from edgeprof.shared.store.reservations import told
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from edgeprof.shared.types.tags import written

_STYLE = {
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.EXPIRED: "red",
    JobState.CANCELLED: "yellow",
    JobState.RUNNING: "cyan",
    BoardState.ONLINE: "green",
    BoardState.BUSY: "cyan",
    BoardState.DRAINING: "yellow",
    BoardState.QUARANTINED: "red",
    BoardState.OFFLINE: "dim",
}


def new_table(*headings: str, right: Collection[str] = (), text: str | None = None) -> Table:
    """Return an empty table in the house style.

    `text` names the column that may take several lines. The others stay on one line. Where there
    is no room at all they are folded, not cut: half a number is a wrong number.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        justify: JustifyMethod = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, overflow="fold", no_wrap=heading != text)
    return table


def styled(state: JobState | BoardState) -> Text:
    """Return the text of a state, in its colour."""
    return Text(state, style=_STYLE.get(state, ""))


def jobs_sheet(views: Sequence[JobView], boards: Sequence[BoardInfo], now_s: float) -> Sheet:
    """Return a sheet with a row for each job."""
    sheet = Sheet(
        [
            Column("job"),
            Column("state"),
            Column("model", leave=6),
            Column("type", leave=4),
            Column("target", leave=7),
            Column("user", leave=1),
            Column("tries", leave=0, right=True),
            Column("submitted", leave=2),
            Column("reason", leave=5, text=True),
        ]
    )
    names = ModelNames.of(map(_named, views))
    for view in views:
        sheet.add(
            view.id,
            styled(view.state),
            names.name(_named(view)),
            view.model.made_as,
            view.target,
            view.user,
            str(len(view.attempts)),
            ago(now_s - view.created_s),
            what_it_waits_for(view, boards) or view.reason,
        )
    return sheet


def _named(view: JobView) -> Named:
    return Named(view.model.name, view.model.made_as, view.model.sha256)


def boards_sheet(boards: Sequence[BoardInfo], now_s: float) -> Sheet:
    """Return a sheet with a row for each board."""
    sheet = Sheet(
        [
            Column("board"),
            Column("platform", leave=9),
            Column("state"),
            Column("host", leave=3),
            Column("clock", leave=1),
            Column("memory", leave=0),
            Column("firmware", leave=5),
            Column("tags", leave=7),
            Column("seen", leave=6),
            Column("job", leave=4),
            Column("user", leave=8),
            Column("note", leave=2, text=True),
        ]
    )
    for board in boards:
        memory = ", ".join(
            f"{region.name} {human_bytes(region.available_bytes)}"
            for region in board.regions
            if region.kind != "stack"
        )
        sheet.add(
            board.device_id,
            board.platform + (" (emu)" if board.emulated else ""),
            board_state(board),
            board.host,
            f"{board.clock_hz / 1e6:g} MHz" if board.clock_hz else "",
            memory,
            f"{board.firmware_version} {board.firmware_git_hash[:8]}",
            written(board.tags),
            ago(now_s - board.seen_s) if board.seen_s else "",
            board.job_id or "",
            board.job_user if board.job_id else "",
            board_note(board),
        )
    return sheet


def board_note(board: BoardInfo) -> str:
    """Return why the board is in its state, and who has it for himself."""
    reserved = told(board.reservation) if board.reservation else ""
    return "; ".join(filter(None, (board.reason, reserved)))


def board_state(board: BoardInfo) -> Text:
    """Return the state in its colour; a board that has nothing left to drain is drained."""
    drained = board.state is BoardState.DRAINING and board.job_id is None
    return Text("drained" if drained else board.state, style=_STYLE.get(board.state, ""))
