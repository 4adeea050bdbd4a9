"""`edgeprof boards`: the boards of the lab, and which of them get jobs."""

from __future__ import annotations

import dataclasses
import getpass
from typing import Annotated

import typer
from rich.markup import escape

from edgeprof.scheduler.cli import output
from edgeprof.scheduler.lab import Lab
from edgeprof.scheduler.render.tables import boards_table, new_table, styled
from edgeprof.scheduler.render.words import when
from edgeprof.shared.jobs import BoardState
from edgeprof.shared.store.boards import BoardStore

app = typer.Typer(
    help="List the boards of the lab, the offline ones too; drain and resume them.\n\n"
    "Example: edgeprof boards",
    invoke_without_command=True,
    rich_markup_mode=None,
)

Names = Annotated[list[str], typer.Argument(metavar="BOARD…", help="Names of boards.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who ask later.")]


@app.callback()
def boards(context: typer.Context, json: output.Json = False) -> None:
    """List the boards of the lab, the offline ones too; drain and resume them.

    Example: edgeprof boards
    """
    if context.invoked_subcommand is not None:
        return
    with Lab() as lab:
        known = lab.boards()
    if json:
        output.print_models(known)
    elif known:
        output.show(boards_table(known))
    else:
        output.note("no board yet; start some with: edgeprof worker --board native://")


@app.command()
def drain(names: Names, reason: Reason = "drained by hand") -> None:
    """Give boards no more jobs; what they run goes on. They stay drained until resumed.

    Example: edgeprof boards drain bench-3 --reason "new firmware"
    """
    with Lab() as lab:
        for name in names:
            lab.store.boards.hold(name, BoardState.DRAINING, _actor(), reason)
            output.note(f"{name} gets no more jobs" + _running(lab.store.boards, name))


@app.command()
def resume(names: Names, reason: Reason = "resumed by hand") -> None:
    """Let boards that were drained or quarantined take jobs again.

    Example: edgeprof boards resume bench-3
    """
    with Lab() as lab:
        for name in names:
            lab.store.boards.resume(name, _actor(), reason)
            output.note(f"{name} takes jobs again")


@app.command()
def history(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")],
    json: output.Json = False,
) -> None:
    """Show when a board was drained, quarantined and resumed, by whom and why.

    Example: edgeprof boards history bench-3
    """
    with Lab() as lab:
        changes = lab.store.boards.history(name)
    if json:
        output.print_json([dataclasses.asdict(change) for change in changes])
        return
    if not changes:
        output.note(f"{name} was never drained or quarantined")
        return
    table = new_table("when", "became", "by", "reason", text="reason")
    for change in changes:
        reason = escape(change.reason)
        table.add_row(when(change.at_s), styled(change.state), escape(change.actor), reason)
    output.show(table)


def _actor() -> str:
    return f"user:{getpass.getuser()}"


def _running(store: BoardStore, name: str) -> str:
    job_id = next((board.job_id for board in store.all() if board.device_id == name), None)
    return f"; it still runs job {job_id}" if job_id else ""
