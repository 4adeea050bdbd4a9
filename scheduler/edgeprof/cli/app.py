"""All commands in one Typer application."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from edgeprof.cli import (
    boards,
    cancel,
    flower,
    jobs,
    models,
    results,
    scheduler,
    stop,
    submit,
    watch,
)
from edgeprof.cli.demo import command as demo
from edgeprof.cli.plugins import Commands

app = typer.Typer(
    name="edgeprof",
    cls=Commands,
    help="Profile tiny language models on microcontroller boards, through a queue.",
    epilog="Settings are EDGEPROF_* variables: docs/reference/settings.md. Exit codes: docs/reference/exit-codes.md.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.command()(submit.submit)
app.command()(jobs.jobs)
app.command()(jobs.job)
app.command()(watch.watch)
app.command()(cancel.cancel)
app.command()(jobs.retry)
app.add_typer(boards.app, name="boards")
app.command()(results.results)
app.add_typer(models.app, name="models")
app.command()(scheduler.scheduler)
app.command()(flower.flower)
app.command()(stop.stop)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgeprof {version('tiny-llm-edge-profiler')}")
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
