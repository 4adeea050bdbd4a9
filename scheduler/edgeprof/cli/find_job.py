"""Finds a job by its id: in Redis, or in the archive once Redis has forgotten it."""

from __future__ import annotations

from edgeprof.client.lab import Lab
from edgeprof.shared.errors import JobNotFound
from edgeprof.shared.store import site_address
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.notification import SubjectKind
from edgeprof.shared.types.result import JobView


def find_job(job_id: str) -> tuple[JobView, list[BoardInfo]]:
    """Return a job with the boards of the lab; without them if Redis has forgotten the job.

    Raises JobNotFound.
    """
    with Lab(hurried=True) as lab:
        try:
            return lab.job(job_id).view(), lab.boards()
        except JobNotFound:
            # Imported here: most jobs are still in Redis, and SQLAlchemy takes a fifth of a second.
            from edgeprof.scheduler.archive import Archive  # noqa: PLC0415

            with Archive.open(lab.settings) as archive:
                archived = archive.view(job_id)
            if archived is None:
                raise
            return archived, []


def page_of(job_id: str) -> str | None:
    """Return the address of a job's page; None where no scheduler can be reached from here."""
    with Lab(hurried=True) as lab:
        site = site_address.base_url(lab.store.script, lab.settings.host)
    return f"{site}/jobs/{job_id}" if site else None


def notices_of(view: JobView) -> list[str]:
    """Return what became of the notifications about a job, or about its sweep; a line each."""
    subjects = [f"{SubjectKind.JOB}:{view.id}"]
    if view.sweep_id:
        subjects.append(f"{SubjectKind.SWEEP}:{view.sweep_id}")
    with Lab(hurried=True) as lab:
        return [notice.text for notice in lab.store.notifications.notices(*subjects)]
