"""The SQL that finds jobs."""

from __future__ import annotations

from sqlalchemy import Select, func, select

from edgeprof.client.query import Query
from edgeprof.scheduler.archive.tables import BaselineJob, Job


def statement_of(query: Query) -> Select[tuple[dict[str, object]]]:
    """Return the statement whose rows are the documents of matching jobs, newest first."""
    statement = select(Job.document).order_by(Job.finished_s.desc(), Job.id).limit(query.limit)
    wanted = {
        Job.id: query.job_id,
        Job.model: query.model,
        Job.platform: query.platform,
        Job.quantization: query.quantization,
        Job.sweep_id: query.sweep_id,
        Job.device_id: query.device_id,
        Job.user: query.user,
        Job.state: query.state,
    }
    for column, value in wanted.items():
        if value is not None:
            statement = statement.where(column == value)
    for name, text in query.tags.items():
        statement = statement.where(Job.tags[name].as_string() == text)
    if query.firmware is not None:
        git_hash = Job.document["result", "identity", "firmware_git_hash"].as_string()
        statement = statement.where(git_hash.startswith(query.firmware, autoescape=True))
    if query.since_s is not None:
        statement = statement.where(Job.finished_s >= query.since_s)
    if query.until_s is not None:
        statement = statement.where(Job.finished_s < query.until_s)
    if query.baseline is not None:
        of_it = select(BaselineJob.job_id).where(BaselineJob.baseline == query.baseline)
        statement = statement.where(Job.id.in_(of_it))
    return statement


def newest_sweeps(tag: tuple[str, str], limit: int) -> Select[str | None]:
    """Return the statement for the sweeps whose jobs have a tag, the newest first."""
    name, text = tag
    return (
        select(Job.sweep_id)
        .where(Job.tags[name].as_string() == text, Job.sweep_id.is_not(None))
        .group_by(Job.sweep_id)
        .order_by(func.max(Job.finished_s).desc())
        .limit(limit)
    )
