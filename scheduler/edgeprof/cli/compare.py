"""The command `edgeprof compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeprof.cli import completion, exits, output
from edgeprof.cli.archived import open_archive
from edgeprof.cli.render.comparison import sheet
from edgeprof.cli.render.comparison_formats import Format, text_of
from edgeprof.client.compared import Compared, notes, nothing_in_common, title
from edgeprof.client.comparison import MARGIN
from edgeprof.client.comparison import compare as compared_jobs
from edgeprof.client.gate import Gates
from edgeprof.client.measures import MEASURES
from edgeprof.client.query import Query
from edgeprof.client.selection import select
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.model import Quantization

_SIDE = (
    "A job, sweep, baseline, firmware hash, tag NAME=VALUE, time 2026-11-20..2026-11-25, or a"
    " run of a schedule: schedule:nightly, schedule:nightly~1."
)
_DEFAULT = [name for name in MEASURES if name != "ttft"]


# Long because Typer reads the options from the signature.
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help=_SIDE)],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    model: Annotated[
        str | None, typer.Option("-m", "--model", metavar="NAME", help="Only this model.")
    ] = None,
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
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help=f"Only this measure; repeatable: {', '.join(MEASURES)}. Default: all but ttft.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            min=0, max=100, metavar="PERCENT", help="A smaller change counts as the same."
        ),
    ] = 100 * MARGIN,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Exit 1 when a row's change is beyond this limit and is no noise: 'decode<-3%'."
            " `missing`: when a row is on the old side only. Repeatable.",
        ),
    ] = None,
    wide: output.Wide = False,
    columns: output.Columns = None,
    output_format: Annotated[
        Format,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="table, md, json, junit, or github: annotations of GitHub Actions.",
        ),
    ] = Format.TABLE,
    json: Annotated[bool, typer.Option("--json", help="Same as --format json.")] = False,
) -> None:
    """Compare old with new, row by row: better, worse, same, or can't tell.

    Each side is one word. Prefixes say which kind is meant: sweep:nightly, baseline:release.

    Example: edgeprof compare baseline:release firmware:1a2b3c4 --fail-if 'decode<-3%'
    """  # fmt: skip
    gates = Gates.parse(fail_if or [])
    names = [_known(name) for name in measure] if measure else _DEFAULT
    names += [name for name in sorted(gates.measures) if name not in names]
    where = Query(model=model, platform=platform, device_id=board, quantization=quantization)
    with open_archive() as archive:
        sides = select(old, archive, where), select(new, archive, where)
    found = compared_jobs(sides[0].views, sides[1].views, measures=names, margin=margin / 100)
    if not found.rows:
        raise nothing_in_common(*sides)
    gates.check(found)
    compared = Compared(*sides, found, gates)
    chosen = Format.JSON if json else output_format
    if chosen is Format.TABLE:
        output.note(title(compared))
        output.show_sheet(sheet(compared), wide=wide, columns=columns)
        for note in notes(compared):
            output.note(note)
    else:
        output.data(text_of(compared, chosen))
    if compared.failed:
        raise typer.Exit(exits.JOB_FAILED)


def _known(name: str) -> str:
    if name not in MEASURES:
        raise UsageError(
            f"--measure: there is no measure {name!r}", hint=f"measures: {', '.join(MEASURES)}"
        )
    return name
