"""Printing: stdout carries data that can be piped, stderr messages for the person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from edgeprof.cli.render.fitted_table import Sheet
from edgeprof.client.console import PlainConsole
from edgeprof.shared.sanitize import harmless

#: Wide enough that a piped table is never cut; a terminal's own width is used on terminals.
_PIPED_WIDTH = 200

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Wide = Annotated[
    bool,
    typer.Option("--wide", help="Print all columns, also those that the terminal has no room for."),
]
Columns = Annotated[
    str | None,
    typer.Option(metavar="NAME,…", help="Print these columns, in this order, e.g. 'model,t/s'."),
]


def stdout() -> Console:
    """Return a console on the current standard output, which tests replace."""
    width = None if sys.stdout.isatty() else _PIPED_WIDTH
    return PlainConsole(file=sys.stdout, width=width)


def stderr() -> Console:
    """Return a console on standard error."""
    return PlainConsole(stderr=True)


def show(renderable: RenderableType) -> None:
    """Print a table on stdout."""
    stdout().print(renderable)


def show_sheet(sheet: Sheet, *, wide: bool = False, columns: str | None = None) -> list[str]:
    """Print a table on stdout: on a terminal the columns that fit, on a pipe all.

    columns: headings, separated by commas; they are printed whether or not they fit. Returns the
    headings that were left out for want of room.
    """
    console = stdout()
    shown = sheet
    if columns is not None:
        shown = sheet.only([heading.strip() for heading in columns.split(",")])
    elif console.is_terminal and not wide:
        shown = sheet.fitted(console)
    # The terminal wraps a line that is still too long, as it wraps psql's: nothing is cut.
    console.width = max(console.width, shown.least(console))
    console.print(shown.table(), crop=False)
    if columns is not None:
        return []
    left_out = [column.heading for column in sheet.columns if column not in shown.columns]
    if left_out:
        note(f"left out for want of room: {', '.join(left_out)} (--wide prints all)")
    return left_out


def note(message: str) -> None:
    """Print a message for the person on stderr, without markup."""
    stderr().print(message, soft_wrap=True)


def data(text: str) -> None:
    """Print text on stdout for a program, without wrapping lines."""
    typer.echo(harmless(text))


def flush() -> None:
    """Hand over what was printed: its reader waits for it."""
    sys.stdout.flush()


def print_json(value: object) -> None:
    """Print any JSON value on stdout."""
    typer.echo(json.dumps(value, indent=2))


def print_models(values: Sequence[BaseModel]) -> None:
    """Print pydantic models as a JSON list on stdout."""
    print_json([value.model_dump(mode="json") for value in values])
