"""`edgeprof baseline save|list|delete`."""

from __future__ import annotations

import time
from dataclasses import asdict
from difflib import get_close_matches
from typing import Annotated

import typer

from edgeprof.cli import output
from edgeprof.cli.archived import open_archive
from edgeprof.cli.command_style import App
from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.humanize import when
from edgeprof.client.selection import select
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.shared.errors import NotFound, UsageError
from edgeprof.shared.identity import user_name
from edgeprof.shared.types.wire import is_name

app = App(
    name="baseline",
    help="Save jobs under a name, to compare others with; they are never deleted by age.\n\n"
    "Example: edgeprof baseline list",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A baseline's name.")]


@app.command()
def save(
    name: Name,
    selection: Annotated[
        str,
        typer.Argument(
            metavar="SELECTION",
            help="A job, sweep, firmware hash, tag NAME=VALUE or range of time.",
        ),
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a baseline that has this name.")
    ] = False,
) -> None:
    """Save the jobs of a selection that succeeded under a name.

    Example: edgeprof baseline save release-1 sweep-1a2b3c4d
    """
    if not is_name(name):
        raise UsageError(
            f"{name!r} is no name: letters, digits, '.', '_' and '-', at most 64",
            hint="e.g. release-1",
        )
    with open_archive() as archive:
        if not replace and name in archive.baseline_names():
            raise UsageError(f"there is a baseline {name!r}", hint="--replace replaces it")
        found = select(selection, archive)
        n_jobs = len(found.views)
        baseline = SavedBaseline(
            name=name, selection=str(found), user=user_name(), saved_s=time.time(), n_jobs=n_jobs
        )
        archive.save_baseline(baseline, [view.id for view in found.views])
    left_out = f"; {found.without_result} without a result left out" if found.without_result else ""
    output.note(f"saved {n_jobs} job(s) as baseline {name}{left_out}")


@app.command("list")
def list_(json: output.Json = False) -> None:
    """List the saved baselines.

    Example: edgeprof baseline list
    """
    with open_archive() as archive:
        saved = archive.baselines()
    if json:
        output.print_json([asdict(each) for each in saved])
        return
    if not saved:
        output.note("no baselines: edgeprof baseline save NAME SELECTION")
        return
    sheet = Sheet(
        [
            Column("baseline"),
            Column("jobs", right=True),
            Column("of", leave=2),
            Column("user", leave=0),
            Column("saved", leave=1),
        ]
    )
    for each in saved:
        sheet.add(each.name, str(each.n_jobs), each.selection, each.user, when(each.saved_s))
    output.show_sheet(sheet)


@app.command()
def delete(name: Name) -> None:
    """Delete a baseline; its jobs stay in the archive.

    Example: edgeprof baseline delete release-1
    """
    with open_archive() as archive:
        if not archive.delete_baseline(name):
            close = get_close_matches(name, archive.baseline_names(), n=1)
            hint = f"did you mean {close[0]}?" if close else "edgeprof baseline list"
            raise NotFound(f"no baseline {name!r} in {archive.url}", hint=hint)
    output.note(f"deleted baseline {name}; its jobs stay")
