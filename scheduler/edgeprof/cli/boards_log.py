"""`edgeprof boards log`: the last lines of a board's worker, from anywhere in the lab."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.render.log_lines import LogPrinter
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.store.board_logs import KEPT_LINES, BoardLogs, LogLine
from edgeprof.shared.types.board import BoardState

#: How often new lines are looked for; a worker sends them once a second.
_LOOK_S: Final = 0.5


def log(
    name: Annotated[
        str,
        typer.Argument(metavar="BOARD", autocompletion=completion.boards, help="Name of a board."),
    ],
    lines: Annotated[
        int,
        typer.Option("-n", "--lines", min=1, max=KEPT_LINES, help="How many of the last lines."),
    ] = 50,
    follow: Annotated[
        bool,
        typer.Option("-f", "--follow", help="Then print new lines as they come, until Ctrl-C."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each line as JSON, with all its fields.")
    ] = False,
) -> None:
    """Show the last lines that a board's worker logged, also after the worker has died.

    They are kept in Redis: 500 lines a board, for two weeks. The whole log is in the files of the
    board's host (EDGEPROF_LOG_DIR).

    Example: edgeprof boards log bench-3 -n 100; edgeprof boards log bench-3 --follow
    """
    with Lab(hurried=True) as lab:
        board = lab.store.boards.named(name)
        logs = BoardLogs(lab.store.script)
        found = logs.read(name)
        if not found and not follow:
            output.note(f"nothing of {name} is kept: its worker has logged nothing for two weeks")
        printer = LogPrinter(output.stdout())
        for line in found[-lines:]:
            _print(line, printer, as_json=as_json)
        if board.state is BoardState.OFFLINE:
            output.note(f"{name} is offline: {board.reason}")
        if follow:
            try:
                for line in _after(logs, name, found[-1].cursor if found else "0"):
                    _print(line, printer, as_json=as_json)
            except KeyboardInterrupt:
                return


def _after(logs: BoardLogs, name: str, cursor: str) -> Iterator[LogLine]:
    """Yield lines as they come; a Redis that is away is waited for."""
    told = ""
    while True:
        time.sleep(_LOOK_S)
        try:
            found = logs.read(name, cursor)
        except InfrastructureError as error:
            if str(error) != told:
                told = str(error)
                output.note(f"{told}; trying on")
            continue
        told = ""
        for line in found:
            cursor = line.cursor
            yield line


def _print(line: LogLine, printer: LogPrinter, *, as_json: bool) -> None:
    if as_json:
        output.data(json.dumps(line.fields))
    else:
        printer.print(line)
    output.flush()
