"""The command `edgeprof history`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Annotated, Any

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.archived import open_archive
from edgeprof.cli.render import course as shown
from edgeprof.client.course import Course, courses
from edgeprof.client.measures import MEASURES
from edgeprof.client.moments import parse_moment
from edgeprof.client.query import Query
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization


# Long because Typer reads the options from the signature.
def history(
    model: Annotated[
        str, typer.Option("-m", "--model", metavar="NAME", help="The model, as tables name it.")
    ],
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM", autocompletion=completion.platforms, help="Only this platform."
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(metavar="BOARD", autocompletion=completion.boards, help="Only this board."),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            "-q",
            "--quantization",
            case_sensitive=False,
            metavar="TYPE",
            help="Only this weight type.",
        ),
    ] = None,
    measure: Annotated[
        str, typer.Option(metavar="NAME", help=f"What to plot: {', '.join(MEASURES)}.")
    ] = "decode",
    since: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only newer jobs: 12h, 7d, 2w, or a date 2026-11-23."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many jobs.")] = 1000,
    plots: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many plots.")] = 4,
    json: output.Json = False,
) -> None:
    """Plot how one measure of a model went over time.

    There is a plot for each board and each prompt, context and cache, those with most jobs first.
    Where the values changed for good a line is drawn, and the change is listed below.

    Example: edgeprof history -m shakespeare-240k --platform stm32f405 --since 4w
    """  # fmt: skip
    if measure not in MEASURES:
        raise UsageError(f"no measure {measure!r}", hint=f"measures: {', '.join(MEASURES)}")
    query = Query(
        model=model,
        platform=platform,
        device_id=board,
        quantization=quantization,
        since_s=None if since is None else parse_moment(since, time.time()),
        state=JobState.SUCCEEDED,
        limit=limit,
    )
    with open_archive() as archive:
        found = courses(archive.find(query), MEASURES[measure])
        if not found:
            raise UsageError(
                f"no job of {model} has measured {measure}, in {archive.url}",
                hint="edgeprof results lists what there is; finished jobs get there by"
                " `edgeprof scheduler`",
            )
    if json:
        output.print_json([_document(course) for course in found])
        return
    width = output.stdout().width
    for course in found[:plots]:
        output.data(shown.plot(course, MEASURES[measure], width))
    if len(found) > plots:
        output.note(f"{len(found) - plots} more with fewer jobs: --plots {len(found)} draws all")


def _document(course: Course) -> dict[str, Any]:
    return asdict(course) | {
        "turns": [asdict(turn) | {"share": turn.share} for turn in course.turns]
    }
