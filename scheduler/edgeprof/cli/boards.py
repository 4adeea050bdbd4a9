"""`edgeprof boards`: the boards of the lab, and which of them get jobs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Annotated

import typer

from edgeprof.cli import boards_log, boards_thorough, completion, exits, output
from edgeprof.cli.board_requests import actor, answer, last_change_s
from edgeprof.cli.boards_drain import drain, resume
from edgeprof.cli.boards_reserve import release, reserve
from edgeprof.cli.boards_upgrade import is_outdated, upgrade
from edgeprof.cli.command_style import App
from edgeprof.cli.render.tables import board_note, board_state, boards_sheet, new_table, styled
from edgeprof.cli.tags import parse_tags
from edgeprof.client.humanize import when
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.store.boards import SELF_TEST
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.shared.types.tags import written

app = App(
    help="List the boards of the lab, also offline ones; drain, reserve, test, upgrade, log.\n\n"
    "Example: edgeprof boards",
    invoke_without_command=True,
)

Names = Annotated[
    list[str],
    typer.Argument(metavar="BOARD…", autocompletion=completion.boards, help="Names of boards."),
]
Name = Annotated[
    str,
    typer.Argument(metavar="BOARD", autocompletion=completion.boards, help="Name of a board."),
]


@app.callback()
def boards(
    context: typer.Context,
    tag: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Only boards with this tag of boards.toml; repeatable."
        ),
    ] = None,
    wide: output.Wide = False,
    columns: output.Columns = None,
    json: output.Json = False,
) -> None:
    """List the boards of the lab, also offline ones; drain, reserve, test, upgrade, log.

    Example: edgeprof boards
    """
    if context.invoked_subcommand is not None:
        return
    tags = parse_tags(tag)
    with Lab(hurried=True) as lab:
        known = lab.boards(tags)
        dangers = lab.store.watch.look()
        hosts = lab.store.hosts.all()
    for danger in dangers:
        output.note(f"warning: {danger.text}")
        output.note(f"hint: {danger.hint}")
    if json:
        output.print_models(known)
        return
    if known:
        sheet = boards_sheet(known, time.time())
        left_out = output.show_sheet(sheet, wide=wide, columns=columns)
        for board in known if "note" in left_out else ():
            if note := board_note(board):
                output.note(f"{board.device_id}, {board_state(board)}: {note}")
        _tell_skew(known)
        _tell_outdated(known)
    elif tags:
        output.note(f"no board with {written(tags)}")
    else:
        output.note("no board yet; start some with: edgeprof worker --board native://")
    _tell_waiting(hosts)


def _tell_waiting(hosts: Sequence[HostInfo]) -> None:
    """Print the ports and configured boards on which no edgeprof firmware has answered."""
    for info in hosts:
        for each in info.waiting if info.fresh else ():
            output.note(f"no board yet on {info.host}, {each.port}: {each.reason}")


def _tell_skew(known: Sequence[BoardInfo]) -> None:
    mine = own_version()
    others: dict[str, list[str]] = {}
    for board in known:
        if board.state is not BoardState.OFFLINE and board.agent_version != mine:
            others.setdefault(board.agent_version or "an unknown version", []).append(
                board.device_id
            )
    for theirs, names in others.items():
        output.note(
            f"driven by edgeprof {theirs}, this is {mine}: {', '.join(names)};"
            " an older agent leaves jobs queued that it does not understand"
        )


def _tell_outdated(known: Sequence[BoardInfo]) -> None:
    names = [board.device_id for board in known if is_outdated(board)]
    if names:
        output.note(
            "with other firmware than their agent has for them:"
            f" edgeprof boards upgrade {' '.join(names)}"
        )


@app.command()
def forget(names: Names) -> None:
    """Take boards off the list that are gone for good; one that comes back is listed again.

    Example: edgeprof boards forget bench-3
    """
    with Lab(hurried=True) as lab:
        for name in names:
            lab.store.boards.named(name)  # an unknown name is an error
            if not lab.store.boards.forget(name):
                raise InfrastructureError(
                    f"board {name} was not forgotten: its worker announces it",
                    hint="take it out of boards.toml of its host, and restart the agent there",
                )
            output.note(f"{name} is forgotten")


@app.command("test")
def self_test(
    name: Name,
    timeout_s: Annotated[
        float | None,
        typer.Option(
            "--timeout",
            min=1,
            metavar="SECONDS",
            help="How long to wait. Default: 120, or 1800 with --thorough.",
        ),
    ] = None,
    thorough: Annotated[
        bool,
        typer.Option(
            "--thorough",
            help="Test each rate of the line, all memory, every kernel, and the clock for a minute;"
            " print a report in Markdown.",
        ),
    ] = False,
    json: output.Json = False,
) -> None:
    """Have a board tested now: link, clock, memory, a known answer. Exit code 1 when it fails.

    It gets no other jobs meanwhile, and stays quarantined unless it passes.

    Example: edgeprof boards test bench-3; edgeprof boards test bench-3 --thorough
    """
    with Lab(hurried=True) as lab:
        if thorough:
            with output.stderr().status(f"testing {name} thoroughly"):
                found = boards_thorough.report(lab, name, timeout_s or 1800)
            if json:
                output.print_json(found | {"board": found["board"].model_dump(mode="json")})
            else:
                boards_thorough.print_markdown(found)
            raise typer.Exit(exits.OK if found["passed"] else exits.JOB_FAILED)
        boards = lab.store.boards
        since_s = last_change_s(boards, name)
        boards.cordon(name, BoardState.QUARANTINED, actor(), "self-test asked for")
        with output.stderr().status(f"testing {name}"):
            said = answer(boards, name, since_s, SELF_TEST, timeout_s or 120)
    if json:
        passed = said.state is BoardState.ONLINE
        output.print_json({"board": name, "passed": passed, "says": said.reason})
    output.note(f"{name}: self-test {said.reason}")
    raise typer.Exit(exits.OK if said.state is BoardState.ONLINE else exits.JOB_FAILED)


app.command()(drain)
app.command()(resume)
app.command()(reserve)
app.command()(release)
app.command()(upgrade)
app.command("log")(boards_log.log)


@app.command()
def identify(
    name: Name,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to wait.")
    ] = 30,
) -> None:
    """Have a board blink for 10 s, to find it on the shelf. Exit code 1 when it cannot, or is busy.

    Example: edgeprof boards identify bench-3
    """
    with Lab(hurried=True) as lab:
        boards = lab.store.boards
        since_s = last_change_s(boards, name)
        asker = f"{actor()}/identify"
        boards.ask("identify", name, asker)
        with output.stderr().status(f"asking {name}"):
            said = answer(boards, name, since_s, asker, timeout_s)
    output.note(f"{name} {said.reason}")
    raise typer.Exit(exits.OK if said.reason == "blinks" else exits.JOB_FAILED)


@app.command()
def history(
    name: Name,
    json: output.Json = False,
) -> None:
    """Show when a board was drained, quarantined and resumed, by whom and why.

    Example: edgeprof boards history bench-3
    """
    with Lab(hurried=True) as lab:
        changes = lab.store.boards.history(name)
        if not changes:  # a board that was forgotten may have a history
            lab.store.boards.named(name)
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
