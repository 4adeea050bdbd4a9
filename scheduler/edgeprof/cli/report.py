"""The command `edgeprof report`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.archived import open_archive
from edgeprof.client.selection import select
from edgeprof.scheduler.report import page
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView

_STDOUT: Final = Path("-")


# Long because Typer reads the options from the signature.
def report(
    selection: Annotated[
        list[str],
        typer.Argument(
            metavar="JOBS…",
            help="A job's id, a sweep's, a baseline, a firmware's hash, NAME=VALUE (a tag), or a"
            " range of time (7d..); all that one of them names.",
        ),
    ],
    to: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="Where it is written; -: stdout.")
    ] = Path("report.html"),
    title: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Its heading. Default: what was selected.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of those, only this model.")
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM",
            autocompletion=completion.platforms,
            help="Of those, only this platform.",
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            metavar="BOARD", autocompletion=completion.boards, help="Of those, only this board."
        ),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(case_sensitive=False, metavar="TYPE", help="Of those, only this weight type."),
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Of those, only jobs of this user.")
    ] = None,
) -> None:
    """Write measured jobs as one HTML file, with plots, that needs no network.

    Example: edgeprof report sweep-1a2b3c4d kernel=new -o report.html
    """
    if not page.can_draw():
        raise InfrastructureError(
            "a report is drawn by matplotlib, which is not installed",
            hint="pip install 'tiny-llm-edge-profiler[report]'",
        )
    with open_archive() as archive:
        found = [select(word, archive) for word in selection]
    named = ", ".join(map(str, found))
    only = {
        "model": model, "platform": platform, "board": board, "type": quantization, "user": user
    }  # fmt: skip
    only = {name: value for name, value in only.items() if value is not None}
    selected = {view.id: view for each in found for view in each.views}
    views = [view for view in selected.values() if only.items() <= _facts(view).items()]
    wanted = ", ".join(f"{name} {value}" for name, value in only.items())
    if not views:
        raise UsageError(
            f"{named}: of {len(selected)} measured job(s) none has {wanted}",
            hint="edgeprof results shows what they have",
        )
    html = page.report(
        views,
        title=title or named,
        selection=f"{named}, only {wanted}" if wanted else named,
        without_result=sum(each.without_result for each in found),
        now_s=time.time(),
    )
    _write(to, html)
    if to != _STDOUT:
        output.note(f"{to}: {len(views)} job(s)")


def _facts(view: JobView) -> dict[str, str]:
    """Return what the options ask of a measured job."""
    assert view.result is not None
    return {
        "model": view.model.name,
        "platform": view.result.identity.platform,
        "board": view.result.identity.device_id,
        "type": view.model.quantization,
        "user": view.user,
    }


def _write(to: Path, html: str) -> None:
    if to == _STDOUT:
        typer.echo(html)
        return
    try:
        to.write_text(html, encoding="utf-8")
    except OSError as error:
        raise InfrastructureError(f"cannot write {to}: {error.strerror}") from error
