"""`edgeprof jobs`, `edgeprof job ID`, `edgeprof retry ID…`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from edgeprof.cli import completion, output
from edgeprof.cli.find_job import find_job, notices_of, page_of
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.report import job_report
from edgeprof.cli.render.tables import jobs_sheet
from edgeprof.client.lab import Lab
from edgeprof.client.trust import Doubt, doubts
from edgeprof.client.waits import what_it_waits_for
from edgeprof.shared.errors import UsageError
from edgeprof.shared.settings import load_settings
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState


def jobs(
    state: Annotated[
        JobState | None,
        typer.Option(metavar="STATE", help=f"Only jobs in this state: {', '.join(JobState)}."),
    ] = None,
    dead: Annotated[
        bool, typer.Option("--dead", help="Only jobs given up after their last attempt.")
    ] = False,
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Only jobs of this user.")
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            metavar="BOARD",
            autocompletion=completion.boards,
            help="Only jobs for this board, or that were tried on it.",
        ),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="ID", help="Only jobs of this sweep.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, metavar="N", help="At most so many: the newest.")
    ] = 50,
    wide: output.Wide = False,
    columns: output.Columns = None,
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
    with Lab(hurried=True) as lab:
        where = JobFilter(user=user, board=board, sweep_id=sweep)
        views = lab.dead_letters(limit, where) if dead else lab.jobs(state, limit, where=where)
        boards = lab.boards()
    if json:
        output.print_models(views)
    elif views:
        output.show_sheet(jobs_sheet(views, boards, time.time()), wide=wide, columns=columns)
    else:
        none = "no dead letters" if dead else f"no jobs are {state}" if state else "no jobs"
        output.note(f"{none}, of those asked for" if where else none)


def job(
    job_id: Annotated[
        str,
        typer.Argument(metavar="ID", autocompletion=completion.jobs, help="A job's id."),
    ],
    json: output.Json = False,
) -> None:
    """Show all about one job: state, attempts, and the result.

    Example: edgeprof job 7h2kq9c4m0xz
    """
    view, boards = find_job(job_id)
    if json:
        output.print_json(view.model_dump(mode="json"))
        return
    waits = what_it_waits_for(view, boards)
    output.show(job_report(view, load_settings().trace_ui, page_of(job_id), waits=waits))
    if rows := llama_bench_table.rows_of([view]):
        output.show_sheet(llama_bench_table.sheet(rows))
        for note in llama_bench_table.notes(rows):
            output.note(note)
        for doubtful in doubts(view):
            if doubtful.doubt is not Doubt.UNSTABLE:  # the notes of the table say so
                output.note(f"! {doubtful}")
    for notice in notices_of(view):
        output.note(notice)


def retry(
    job_ids: Annotated[
        list[str],
        typer.Argument(metavar="ID…", autocompletion=completion.jobs, help="Jobs that have ended."),
    ],
) -> None:
    """Queue jobs that have ended once more, as new jobs; prints the new ids.

    Example: edgeprof retry $(edgeprof jobs --dead --json | jq -r '.[].id')
    """
    with Lab(hurried=True) as lab:
        for job_id in job_ids:
            output.stdout().print(lab.retry(job_id).id)
