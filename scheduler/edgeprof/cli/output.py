"""Printing: stdout carries data that can be piped, stderr messages for the person."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from edgeprof.client.console import PlainConsole
from edgeprof.shared.sanitize import harmless

#: Wide enough that a piped table is never cut; a terminal's own width is used on terminals.
_PIPED_WIDTH = 200

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


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


def note(message: str) -> None:
    """Print a message for the person on stderr, without markup."""
    stderr().print(message, soft_wrap=True)


def data(text: str) -> None:
    """Print text on stdout for a program, without wrapping lines."""
    typer.echo(harmless(text))


def print_json(value: object) -> None:
    """Print any JSON value on stdout."""
    typer.echo(json.dumps(value, indent=2))


def print_models(values: Sequence[BaseModel]) -> None:
    """Print pydantic models as a JSON list on stdout."""
    print_json([value.model_dump(mode="json") for value in values])
