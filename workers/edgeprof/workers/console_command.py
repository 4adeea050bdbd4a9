"""`edgeprof console`: a terminal on a board's port, with the board out of service meanwhile."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.console import Console

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.shared.identity import user_name
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.boards import BoardStore
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.port_loans import borrowed
from edgeprof.shared.store.released_port import LOOK_S, until_released
from edgeprof.shared.types.board import BoardInfo, BoardState
from edgeprof.workers.board.locks import BoardLock
from edgeprof.workers.console_terminal import Terminal
from edgeprof.workers.link.port import close_port, lock_port, open_port
from edgeprof.workers.link.port_faults import NETWORK

#: Rate of a board whose agent does not say at which one it opens the port.
_BAUD: Final = 115200
#: How long a worker may hold on to a port on which no board answers.
_LET_GO_S: Final = 30.0


def console(
    board: Annotated[str, typer.Argument(metavar="BOARD", help="Name of a board.")],
    baud: Annotated[
        int | None,
        typer.Option(
            min=1, max=12_000_000, metavar="RATE", help="Default: that of the board's boards.toml."
        ),
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw", help="Let what the board sends command the terminal: colours, the cursor."
        ),
    ] = False,
) -> None:
    """Open a board's serial port in this terminal, until Ctrl-].

    Run it on the board's host. A running job ends first. The board gets no jobs meanwhile, and is
    back by itself a few seconds after you leave, also when the terminal is closed or killed.

    Example: edgeprof console bench-3
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "a console needs a terminal, and this is none",
            hint=f"for a program: edgeprof boards drain {board} --release-port, then open its port",
        )
    settings = load_settings()
    with LabStore.open(settings) as store:
        info = store.boards.named(board)
        must_be_reachable(info, settings)
        reason = f"{user_name()} has a console on {settings.host}"
        visit = _Visit(store.boards, info, settings)
        actor = f"user:{user_name()}"
        with borrowed(store, board, actor, reason, settings.lease_s, visit.end):
            visit.run(baud or info.baud or _BAUD, raw=raw)
    if visit.ended_by_others:
        raise HostFault(f"somebody resumed {board}: the console has ended", code="port_taken_back")
    typer.echo(f"{board} is back in a few seconds", err=True)


class _Visit:
    """One console, from the wait for the port to its end."""

    def __init__(self, boards: BoardStore, info: BoardInfo, settings: Settings) -> None:
        self._boards = boards
        self._info = info
        self._settings = settings
        self._terminal: Terminal | None = None
        self.ended_by_others = False

    def run(self, baud: int, *, raw: bool) -> None:
        """Wait for the port, and let the person type. Raises a Fault."""
        url = self._info.url
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: self._told_to_end())
        self._wait()
        lock = locked(url, self._settings.lock_dir)
        try:
            port = open_port(url, baud)
            try:
                typer.echo(
                    f"{self._info.device_id}: {url}, {baud} baud."
                    " Ctrl-] leaves, Ctrl-T Ctrl-H shows more keys",
                    err=True,
                )
                self._terminal = Terminal(port, raw=raw)
                if not self.ended_by_others:
                    self._terminal.run(url)
            finally:
                close_port(port, url)
        finally:
            lock.close()
        typer.echo("", err=True)

    def end(self) -> None:
        """End the console, because somebody took the port back; any thread may call this."""
        self.ended_by_others = True
        if self._terminal is not None:
            self._terminal.leave()

    def _told_to_end(self) -> None:
        if self._terminal is None:
            raise typer.Exit(130)
        self._terminal.leave()

    def _wait(self) -> None:
        name = self._info.device_id
        with Console(stderr=True, markup=False).status(f"{name}: asking for its port") as status:

            def show(board: BoardInfo) -> None:
                if self.ended_by_others:
                    raise HostFault(f"somebody resumed {name}", code="port_taken_back")
                if board.job_id:
                    status.update(
                        f"{name} runs job {board.job_id} of {board.job_user or 'somebody'};"
                        " waiting for its end"
                    )

            board = until_released(self._boards, name, on_look=show)
        if board.state is BoardState.OFFLINE:
            typer.echo(f"{name} is offline: {board.reason}", err=True)


def locked(url: str, lock_dir: Path, patience_s: float = _LET_GO_S) -> BoardLock:
    """Lock a port that a worker may still be trying to open: it does where no board answers.

    Raises HostFault when another program keeps the port.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return lock_port(url, lock_dir)
        except HostFault as fault:
            if fault.code != "board_claimed" or time.monotonic() > deadline_s:
                raise
        time.sleep(LOOK_S)


def must_be_reachable(info: BoardInfo, settings: Settings) -> None:
    """Raise UsageError when the board's port cannot be opened from this machine."""
    where = urlsplit(info.url)
    served = where.scheme in NETWORK and where.hostname not in {"localhost", "127.0.0.1", "::1"}
    if info.host != settings.host and not served:
        raise UsageError(
            f"{info.device_id} is plugged in at host {info.host}, and this is {settings.host}",
            hint=f"ssh -t {info.host} edgeprof console {info.device_id}; if this is that machine,"
            f" EDGEPROF_HOST={info.host} says so",
        )
