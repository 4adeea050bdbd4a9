"""`edgeprof boards`: the boards of the lab, and which of them get jobs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import Annotated, Final

import typer

from edgeprof.cli import boards_log, boards_thorough, completion, exits, output
from edgeprof.cli.board_requests import actor, answer, last_change_s
from edgeprof.cli.boards_upgrade import is_outdated, upgrade
from edgeprof.cli.command_style import App
from edgeprof.cli.render.tables import board_state, boards_sheet, new_table, styled
from edgeprof.client.humanize import when
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.store import released_port
from edgeprof.shared.store.boards import PORT_RELEASED, SELF_TEST, BoardStore
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.types.board import BoardInfo, BoardState

app = App(
    help="List the boards of the lab, also offline ones; drain, resume, test, upgrade, log.\n\n"
    "Example: edgeprof boards",
    invoke_without_command=True,
)

#: A worker looks for such a request every few seconds (EDGEPROF_PROBE_INTERVAL_S).
_RELEASE_WAIT_S: Final = 30.0

Names = Annotated[
    list[str],
    typer.Argument(metavar="BOARD…", autocompletion=completion.boards, help="Names of boards."),
]
Name = Annotated[
    str,
    typer.Argument(metavar="BOARD", autocompletion=completion.boards, help="Name of a board."),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for those who ask later.")
]


@app.callback()
def boards(
    context: typer.Context,
    wide: output.Wide = False,
    columns: output.Columns = None,
    json: output.Json = False,
) -> None:
    """List the boards of the lab, also offline ones; drain, resume, test, upgrade, log.

    Example: edgeprof boards
    """
    if context.invoked_subcommand is not None:
        return
    with Lab(hurried=True) as lab:
        known = lab.boards()
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
            if board.reason:
                output.note(f"{board.device_id}, {board_state(board)}: {board.reason}")
        _tell_skew(known)
        _tell_outdated(known)
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
def drain(
    names: Names,
    reason: Reason = "drained by hand",
    release_port: Annotated[
        bool,
        typer.Option(
            "--release-port", help="Also free the port, for a debugger or serial monitor."
        ),
    ] = False,
) -> None:
    """Give boards no more jobs; what they run goes on. They stay drained until resumed.

    With --release-port the board's worker closes the port after its running job, and opens it
    again when the board is resumed. The command waits for the port, up to half a minute.

    Example: edgeprof boards drain bench-3 --reason "new firmware"
    """
    with Lab(hurried=True) as lab:
        boards = lab.store.boards
        for name in names:
            boards.cordon(name, BoardState.DRAINING, actor(), reason, release_port=release_port)
            output.note(f"{name} gets no more jobs" + _running(boards, name))
        for name in names if release_port else ():
            output.note(_released(boards, name))


def _released(boards: BoardStore, name: str) -> str:
    """Wait until a board's port is free; returns the line to print."""
    board = released_port.until_released(boards, name, _RELEASE_WAIT_S)
    if released_port.is_released(board):
        return f"{name}: {PORT_RELEASED}: {board.url} on {board.host}"
    if board.state is BoardState.OFFLINE:
        return (
            f"{name} is offline ({board.reason}); when its worker is back it leaves the port alone"
        )
    return f"{name}: {board.url} is still in use; `edgeprof boards` tells when it is released"


@app.command()
def resume(names: Names, reason: Reason = "resumed by hand") -> None:
    """Let boards that were drained or quarantined take jobs again.

    Example: edgeprof boards resume bench-3
    """
    with Lab(hurried=True) as lab:
        for name in names:
            lab.store.boards.resume(name, actor(), reason)
            output.note(f"{name} takes jobs again")


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


def _running(store: BoardStore, name: str) -> str:
    job_id = next((board.job_id for board in store.all() if board.device_id == name), None)
    return f"; it still runs job {job_id}" if job_id else ""
