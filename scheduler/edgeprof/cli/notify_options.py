"""The options `--notify`, `--notify-if` and `--against`, which `submit` and `sweep` share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer

from edgeprof.cli import output
from edgeprof.cli.archived import open_archive
from edgeprof.client.lab import Lab
from edgeprof.client.notify import Wish
from edgeprof.shared.identity import user_name
from edgeprof.shared.types.notification import Subject, SubjectKind

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
#: Hosts, as they are shown, that are told with a setting only.
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def wish(
    notify: Sequence[str] | None, notify_if: Sequence[str] | None, against: str | None
) -> Wish:
    """Return what the options ask for. Raises UsageError, also when nothing is found to compare."""
    asked = Wish.of(notify or (), notify_if or (), against)
    if against is not None:
        # Imported here: most submits compare with nothing.
        from edgeprof.client.selection import select  # noqa: PLC0415

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
    if not lab.store.notifications.has_teller():
        output.note("no scheduler runs now, and nobody is told until one does: edgeprof scheduler")
    for host in _LOOPBACK & set(asked.to):
        output.note(
            f"{host} is the scheduler's own machine: it is told only where EDGEPROF_NOTIFY_ALLOW"
            f" of the scheduler has {host}"
        )
