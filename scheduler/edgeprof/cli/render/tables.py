"""Tables of jobs and boards."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from edgeprof.cli.render.humanize import ago, human_bytes
from edgeprof.cli.render.model_names import ModelNames, Named
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

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


def jobs_table(views: Iterable[JobView], now_s: float) -> Table:
    """Return a table with a line for each job."""
    table = new_table(
        "job", "state", "model", "type", "target", "tries", "submitted", "reason", text="reason"
    )
    views = list(views)
    names = ModelNames.of(map(_named, views))
    for view in views:
        table.add_row(
            view.id,
            styled(view.state),
            names.name(_named(view)),
            view.model.made_as,
            view.target,
            str(len(view.attempts)),
            ago(now_s - view.created_s),
            view.reason,
        )
    return table


def _named(view: JobView) -> Named:
    return Named(view.model.name, view.model.made_as, view.model.sha256)


def boards_table(boards: Sequence[BoardInfo], *, with_notes: bool = True) -> Table:
    """Return a table with a line for each board. with_notes: whether there is room for reasons."""
    headings = ["board", "platform", "state", "host", "clock", "memory", "job"]
    if with_notes:
        headings.append("note")
    table = new_table(*headings, text="note")
    for board in boards:
        memory = ", ".join(
            f"{region.name} {human_bytes(region.available_bytes)}"
            for region in board.regions
            if region.kind != "stack"
        )
        cells: list[str | Text] = [
            board.device_id,
            board.platform + (" (emu)" if board.emulated else ""),
            styled(board.state),
            board.host,
            f"{board.clock_hz / 1e6:g} MHz" if board.clock_hz else "",
            memory,
            board.job_id or "",
        ]
        table.add_row(*cells, *([board.reason] if with_notes else []))
    return table
