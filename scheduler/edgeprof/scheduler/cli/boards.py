"""`edgeprof boards`: the boards of the lab, and which of them get jobs."""

from __future__ import annotations

import dataclasses
import getpass
import time
from typing import Annotated

import typer

from edgeprof.scheduler.cli import exits, output
from edgeprof.scheduler.lab import Lab
from edgeprof.scheduler.render.tables import boards_table, new_table, styled
from edgeprof.scheduler.render.words import when
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.jobs import BoardState
from edgeprof.shared.store.boards import SELF_TEST, BoardChange, BoardStore

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


@app.command("test")
def self_test(
    name: Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")],
    timeout_s: Annotated[float, typer.Option("--timeout", min=1, help="Seconds to wait.")] = 120,
) -> None:
    """Have a board tested now: a small model with a known answer. Exit code 1 when it fails.

    It gets no other jobs meanwhile, and stays quarantined unless it passes.

    Example: edgeprof boards test bench-3
    """
    with Lab() as lab:
        boards = lab.store.boards
        boards.hold(name, BoardState.QUARANTINED, _actor(), "self-test asked for")
        asked_s = boards.history(name)[-1].at_s
        deadline_s = time.monotonic() + timeout_s
        with output.stderr().status(f"testing {name}"):
            while not (answers := _self_tests(boards, name, asked_s)):
                if time.monotonic() > deadline_s:
                    raise InfrastructureError(
                        f"{name} was not tested within {timeout_s:g} s; it stays quarantined",
                        hint="is it busy or offline? edgeprof boards tells; its worker tests it when it can",
                    )
                time.sleep(0.2)
    output.note(f"{name}: self-test {answers[0].reason}")
    raise typer.Exit(exits.OK if answers[0].state is BoardState.ONLINE else exits.JOB_FAILED)


def _self_tests(boards: BoardStore, name: str, since_s: float) -> list[BoardChange]:
    return [c for c in boards.history(name) if c.at_s > since_s and c.actor == SELF_TEST]


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
        table.add_row(when(change.at_s), styled(change.state), change.actor, change.reason)
    output.show(table)


def _actor() -> str:
    return f"user:{getpass.getuser()}"


def _running(store: BoardStore, name: str) -> str:
    job_id = next((board.job_id for board in store.all() if board.device_id == name), None)
    return f"; it still runs job {job_id}" if job_id else ""
