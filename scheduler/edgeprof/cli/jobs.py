"""`edgeprof jobs`, `edgeprof job ID`, `edgeprof retry ID…`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edgeprof.cli import output
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.report import job_report
from edgeprof.cli.render.tables import jobs_table
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import JobNotFound, UsageError
from edgeprof.shared.settings import load_settings
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="Only jobs given up after their last attempt.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="Only jobs of this user.")] = None,
    board: Annotated[
        str | None, typer.Option(help="Only jobs for this board, or that were tried on it.")
    ] = None,
    sweep: Annotated[str | None, typer.Option(help="Only jobs of this sweep.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many: the newest.")] = 50,
    json: output.Json = False,
) -> None:
    """List the newest jobs to which all of these options apply.

    --dead lists the jobs that were given up.

    Example: edgeprof jobs --state running --user anna
    """
    if dead and state is not None:
        raise UsageError(
            "--dead and --state exclude each other", hint="dead letters are all failed"
        )
    with Lab() as lab:
        where = JobFilter(user=user, board=board, sweep_id=sweep)
        views = lab.dead_letters(limit, where) if dead else lab.jobs(state, limit, where=where)
    if json:
        output.print_models(views)
    elif views:
        output.show(jobs_table(views, time.time()))
    else:
        none = "no dead letters" if dead else f"no jobs are {state}" if state else "no jobs"
        output.note(f"{none}, of those asked for" if where else none)


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="A job's id.")],
    json: output.Json = False,
) -> None:
    """Show all about one job: state, attempts, and the result.

    Example: edgeprof job 7h2kq9c4m0xz
    """
    view = _view(job_id)
    if json:
        output.print_json(view.model_dump(mode="json"))
        return
    output.show(job_report(view, load_settings().trace_ui))
    if rows := llama_bench_table.rows_of([view]):
        llama_bench_table.print_table(rows, output.stdout())


def retry(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="Jobs that have ended.")],
) -> None:
    """Queue jobs that have ended once more, as new jobs; prints the new ids.

    Example: edgeprof retry $(edgeprof jobs --dead --json | jq -r '.[].id')
    """
    with Lab() as lab:
        for job_id in job_ids:
            output.stdout().print(lab.retry(job_id).id)


def _view(job_id: str) -> JobView:
    """Return a job from the store, or, when Redis has forgotten it, from the archive."""
    with Lab() as lab:
        try:
            return lab.job(job_id).view()
        except JobNotFound:
            # Imported here: most jobs are still in Redis, and SQLAlchemy takes a fifth of a second.
            from edgeprof.scheduler.archive import Archive  # noqa: PLC0415

            with Archive.open(lab.settings) as archive:
                archived = archive.view(job_id)
            if archived is None:
                raise
            return archived
