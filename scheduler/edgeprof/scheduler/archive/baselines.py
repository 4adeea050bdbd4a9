"""Saves and finds baselines: jobs under a name, to compare others with."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgeprof.scheduler.archive.tables import Baseline, BaselineJob


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedBaseline:
    """A baseline, as it is listed. selection: the word its jobs were chosen by."""

    name: str
    selection: str
    user: str
    saved_s: float
    n_jobs: int


def save(session: Session, baseline: SavedBaseline, job_ids: Collection[str]) -> None:
    """Write a baseline; one that has this name is replaced."""
    if (old := session.get(Baseline, baseline.name)) is not None:
        session.delete(old)
        session.flush()
    session.add(
        Baseline(
            name=baseline.name,
            selection=baseline.selection,
            user=baseline.user,
            saved_s=baseline.saved_s,
            jobs=[BaselineJob(job_id=job_id) for job_id in job_ids],
        )
    )


def delete(session: Session, name: str) -> bool:
    """Delete a baseline, not its jobs; returns whether there was one."""
    found = session.get(Baseline, name)
    if found is not None:
        session.delete(found)
    return found is not None


def all_of(session: Session) -> list[SavedBaseline]:
    """Return all baselines by name."""
    counted = (
        select(Baseline, func.count(BaselineJob.job_id))
        .outerjoin(BaselineJob)
        .group_by(Baseline.name)
        .order_by(Baseline.name)
    )
    return [
        SavedBaseline(
            name=row.name,
            selection=row.selection,
            user=row.user,
            saved_s=row.saved_s,
            n_jobs=n_jobs,
        )
        for row, n_jobs in session.execute(counted)
    ]
