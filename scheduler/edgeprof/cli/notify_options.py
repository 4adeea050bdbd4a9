"""The options `--notify`, `--notify-if` and `--against`, which `submit` and `sweep` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer

from edgeprof.cli import output
from edgeprof.cli.archived import open_archive
from edgeprof.client.lab import Lab
from edgeprof.client.notify import Wish
from edgeprof.client.selection import select
from edgeprof.shared.identity import user_name
from edgeprof.shared.types.notification import Subject, SubjectKind
from edgeprof.shared.types.notify_address import NotifyAddress

Notify = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        help="Tell this webhook (https://…) or mail address (mailto:…) once all jobs have ended;"
        " repeatable.",
    ),
]
NotifyIf = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CONDITION",
        help="Tell it only if this holds against --against, as `compare --fail-if`: 'decode<-3%',"
        " missing. Repeatable.",
    ),
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="SELECTION",
        help="Have the notification compare with these jobs: a baseline, a sweep, a tag…",
    ),
]
_LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")


def wish(
    notify: Sequence[str] | None, notify_if: Sequence[str] | None, against: str | None
) -> Wish:
    """Return what the options ask for. Raises UsageError, also when nothing is found to compare."""
    asked = Wish.of(notify or (), notify_if or (), against)
    if against is not None:
        with open_archive() as archive:
            select(against, archive)
    return asked


def of_jobs(job_ids: Sequence[str], sweep_id: str) -> Subject:
    """Return what `submit` queued: a single job is told of as a job."""
    if len(job_ids) == 1:
        return Subject(kind=SubjectKind.JOB, name=job_ids[0])
    return of_sweep(sweep_id)


def of_sweep(sweep_id: str) -> Subject:
    """Return a sweep as the subject of a notification."""
    return Subject(kind=SubjectKind.SWEEP, name=sweep_id)


def ask(lab: Lab, asked: Wish, subject: Subject, job_ids: Sequence[str]) -> None:
    """Have the scheduler tell of these jobs."""
    if not asked.addresses:
        return
    asked.ask(lab.store, subject, job_ids, user_name())
    only = " if a condition is broken" if asked.conditions else ""
    output.note(f"{', '.join(asked.to)} will be told by the scheduler{only}")
    for address in map(NotifyAddress.parse, asked.addresses):
        if address.shown in _LOOPBACK:
            port = urlsplit(address.target).port or ""
            output.note(
                f"{address.shown}:{port} is a port of the scheduler's machine: it is told only"
                f" where EDGEPROF_NOTIFY_ALLOW has {address.shown}"
            )
