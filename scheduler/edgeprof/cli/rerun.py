"""The command `edgeprof rerun ID`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.find_job import find_job
from edgeprof.client import rerun as repetition
from edgeprof.client.lab import Lab
from edgeprof.client.model_finder import ModelFinder
from edgeprof.shared.errors import UsageError
from edgeprof.shared.identity import user_name


def rerun(
    job_id: Annotated[
        str, typer.Argument(metavar="ID", autocompletion=completion.jobs, help="A job's id.")
    ],
    board: Annotated[
        str | None,
        typer.Option(
            metavar="BOARD", autocompletion=completion.boards, help="On this board instead."
        ),
    ] = None,
    platform: Annotated[
        str | None,
        typer.Option(
            metavar="PLATFORM",
            autocompletion=completion.platforms,
            help="On any board of this platform instead.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "-m",
            "--model",
            metavar="FILE",
            help="The model's file, or the one it was made of. Default: from the caches, Redis or"
            " the bundled models. Its hash has to be the record's.",
        ),
    ] = None,
    wait_for_board: Annotated[
        bool, typer.Option("--wait-for-board", help="Queue even if no such board is known yet.")
    ] = False,
) -> None:
    """Queue a job again, from its record alone; prints the new id.

    Prompt, counts, context and model file are those of the record, which may be years old: Redis
    need not know the job any more.

    Example: edgeprof rerun 7h2kq9c4m0xz --board bench-2
    """  # fmt: skip
    if board is not None and platform is not None:
        raise UsageError("name either a board or a platform")
    view, _ = find_job(job_id)
    with Lab(hurried=True) as lab:
        found = ModelFinder(lab.settings.cache_dir, lab.store.blobs).find(view.model, model)
        planned = repetition.plan(
            view,
            found,
            lab.boards(),
            user=user_name(),
            board=board,
            platform=platform,
            wait_for_board=wait_for_board,
        )
        (job,) = lab.submit_planned([planned])
    output.stdout().print(job.id)
    output.note(f"hint: edgeprof watch {job.id}; edgeprof compare {job_id} {job.id}")
