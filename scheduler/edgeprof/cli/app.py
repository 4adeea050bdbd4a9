"""The command line as one Typer application; the commands are in commands.py."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeprof.cli.commands import Commands
from edgeprof.shared.own_version import own_version

app = typer.Typer(
    name="edgeprof",
    cls=Commands,
    help="Profile tiny language models on microcontroller boards, through a queue.",
    epilog="Settings are EDGEPROF_* variables: docs/reference/settings.md."
    " Exit codes: docs/reference/exit-codes.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeprof {own_version()}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass
