"""`edgeprof cancel ID…`, `edgeprof cancel --sweep ID`, `edgeprof cancel --all`."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from typing import Annotated

import typer

from edgeprof.cli import completion, exits, output
from edgeprof.client.lab import Lab
from edgeprof.shared.errors import UsageError
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState


def cancel(
    job_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ID…]", autocompletion=completion.jobs, help="Jobs to cancel."),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Cancel the jobs of this sweep that have not ended."),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Cancel all jobs that have not ended, of all users.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask first, as is done on a terminal.")
    ] = False,
    json: output.Json = False,
) -> None:
    """Cancel jobs. A running one stops between two tokens; one that has ended stays as it is.

    Example: edgeprof cancel --sweep 7h2kq9c4m0xz
    """
    if (bool(job_ids), sweep is not None, everything).count(True) != 1:
        raise UsageError(
            "name jobs, or one sweep, or all of them",
            hint="edgeprof cancel ID…, edgeprof cancel --sweep ID, or edgeprof cancel --all",
        )
    with Lab(hurried=True) as lab:
        if job_ids:
            _cancel_named(lab, job_ids, json=json)
        else:
            _cancel_open(lab, sweep, yes=yes, json=json)


def _cancel_named(lab: Lab, job_ids: list[str], *, json: bool) -> None:
    states: Counter[JobState] = Counter()
    for job_id in job_ids:
        state = lab.job(job_id).cancel()
        states[state] += 1
        said = "asked to stop" if state is JobState.RUNNING else str(state)
        output.note(f"job {job_id}: {said}")
    if json:
        stopping = states[JobState.RUNNING]
        output.print_json({"cancelled": states[JobState.CANCELLED], "asked_to_stop": stopping})


def _cancel_open(lab: Lab, sweep: str | None, *, yes: bool, json: bool) -> None:
    where = JobFilter(sweep_id=sweep)
    of_sweep = "" if sweep is None else f" of sweep {sweep}"
    if not yes and sys.stdin.isatty():
        count = lab.count_open(where)
        if count and not _confirmed(f"Cancel {count} job(s){of_sweep}? [y/N] "):
            output.note("nothing was cancelled")
            raise typer.Exit(exits.INTERRUPTED)
    done = lab.cancel_open(where)
    if json:
        output.print_json(dataclasses.asdict(done))
    elif done.cancelled or done.asked_to_stop:
        output.note(f"cancelled {done.cancelled} job(s){of_sweep}" + _stopping(done.asked_to_stop))
    else:
        output.note(f"no job{of_sweep} is queued or running")


def _confirmed(question: str) -> bool:
    """Ask on stderr, because stdout is data; typer.confirm writes to both."""
    output.stderr().print(question, end="", soft_wrap=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _stopping(count: int) -> str:
    return f"; {count} running job(s) asked to stop" if count else ""
