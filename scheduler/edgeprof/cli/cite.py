"""The command `edgeprof cite ID`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.find_job import find_job
from edgeprof.client import citation


class Format(StrEnum):
    """How to print a citation."""

    TEXT = "text"
    BIBTEX = "bibtex"


def cite(
    job_id: Annotated[
        str, typer.Argument(metavar="ID", autocompletion=completion.jobs, help="A job's id.")
    ],
    output_format: Annotated[
        Format, typer.Option("--format", metavar="FORMAT", help="text or bibtex.")
    ] = Format.TEXT,
) -> None:
    """Print what a paper or an issue has to say about a job.

    Numbers with their spread, model, inputs, board and firmware by hash, and how to repeat it.

    Example: edgeprof cite 7h2kq9c4m0xz
    """
    view, _ = find_job(job_id)
    made = citation.text(view) if output_format is Format.TEXT else citation.bibtex(view)
    output.data(made)
