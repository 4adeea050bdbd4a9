"""`edgeprof boards drain` and `resume`: boards, or all of a host, get no jobs for a while."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.board_requests import actor
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import NotFound, UsageError
from edgeprof.shared.spelling import suggestion
from edgeprof.shared.store import released_port
from edgeprof.shared.store.boards import PORT_RELEASED, BoardStore
from edgeprof.shared.types.board import BoardState

#: A worker looks for such a request every few seconds (EDGEPROF_PROBE_INTERVAL_S).
_RELEASE_WAIT_S: Final = 30.0

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[BOARD…]", autocompletion=completion.boards, help="Names of boards."),
]
Host = Annotated[
    str | None,
    typer.Option(
        "--host", metavar="HOST", help="All boards of this host, also those that appear later."
    ),
]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why, for those who ask later.")
]


def drain(
    names: Names = None,
    host: Host = None,
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

    Example: edgeprof boards drain bench-3 --reason "new firmware"; edgeprof boards drain --host h1
    """
    with Lab(hurried=True) as lab:
        if host is not None:
            if release_port:
                raise UsageError(
                    "--release-port is of boards, not of a host",
                    hint="stop the host's agent to free all its ports",
                )
            _check(lab, names, host)
            lab.store.hosts.cordon(host, actor(), reason, drained=True)
            output.note(f"the boards of {host} get no more jobs")
            for board in lab.boards():
                if board.host == host and board.job_id:
                    output.note(f"{board.device_id} still runs job {board.job_id}")
            return
        boards, named = lab.store.boards, _named(names)
        for name in named:
            boards.cordon(name, BoardState.DRAINING, actor(), reason, release_port=release_port)
            output.note(f"{name} gets no more jobs" + _running(boards, name))
        for name in named if release_port else ():
            output.note(_released(boards, name))


def resume(names: Names = None, host: Host = None, reason: Reason = "resumed by hand") -> None:
    """Let boards that were drained or quarantined take jobs again.

    Example: edgeprof boards resume bench-3; edgeprof boards resume --host h1
    """
    with Lab(hurried=True) as lab:
        if host is not None:
            _check(lab, names, host)
            was = lab.store.hosts.uncordon(host, drained=True)
            again = "take jobs again" if was else "were not drained"
            output.note(f"the boards of {host} {again}")
            return
        for name in _named(names):
            lab.store.boards.resume(name, actor(), reason)
            output.note(f"{name} takes jobs again")
            board = lab.store.boards.named(name)
            if board.reason.startswith(f"host {board.host} is"):
                output.note(f"but {board.reason}; edgeprof boards resume --host {board.host}")


def _named(names: Sequence[str] | None) -> Sequence[str]:
    if not names:
        raise UsageError("name boards, or --host", hint="edgeprof boards lists them")
    return names


def _check(lab: Lab, names: Sequence[str] | None, host: str) -> None:
    """Raise UsageError for boards beside a host, and NotFound for a host that nobody knows."""
    if names:
        raise UsageError("name either boards or a host, not both")
    known = {info.host for info in lab.store.hosts.all()} | {board.host for board in lab.boards()}
    if host not in known:
        raise NotFound(
            f"no host {host!r} in the lab{suggestion(host, sorted(known))}",
            hint=f"hosts: {', '.join(sorted(known)) or 'none yet'}",
        )


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


def _running(store: BoardStore, name: str) -> str:
    job_id = next((board.job_id for board in store.all() if board.device_id == name), None)
    return f"; it still runs job {job_id}" if job_id else ""
