"""Writes and finds finished jobs, in SQLite in the data folder or in PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Self

from sqlalchemy import Engine, delete, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from edgeprof.client.query import Query
from edgeprof.scheduler.archive import archive_url, baselines, engine, migrate
from edgeprof.scheduler.archive.baselines import SavedBaseline
from edgeprof.scheduler.archive.database_file import DatabaseFile
from edgeprof.scheduler.archive.rows import row_of
from edgeprof.scheduler.archive.statements import newest_sweeps, statement_of
from edgeprof.scheduler.archive.tables import BaselineJob, Job
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.result import JobView

_HINT: Final = "e.g. postgresql+psycopg://user@host/edgeprof (with psycopg installed)"

#: Jobs that are read at once of a whole archive.
_PAGE: Final = 200


class Archive:
    """An open archive. Raises InfrastructureError when the database cannot be used."""

    def __init__(self, url: str) -> None:
        self.url = archive_url.masked(url)
        self._secrets = archive_url.secrets(url)
        try:
            self._engine: Engine = engine.create(url)
        except NoSuchModuleError:
            raise UsageError(
                "EDGEPROF_ARCHIVE_URL is for a kind of database that SQLAlchemy does not know:"
                f" {self.url}",
                hint=_HINT,
            ) from None
        except ModuleNotFoundError as error:
            raise UsageError(
                f"EDGEPROF_ARCHIVE_URL needs a package that is not installed: {error.name}",
                hint=_HINT,
            ) from None
        except (
            ArgumentError,
            TypeError,
            ValueError,
        ):  # their messages may hold a part of the password
            raise UsageError("EDGEPROF_ARCHIVE_URL is not usable", hint=_HINT) from None
        self._reading = self._engine.execution_options(**{engine.READS: True})
        self._file = DatabaseFile.of(url)
        try:
            with self._guarded():
                self._prepare()
        except BaseException:
            self._engine.dispose()  # a connection that nobody closes would hold the file
            raise

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Open the archive of these settings, making or upgrading its tables."""
        return cls(engine.url_of(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()

    def save(self, views: Sequence[JobView]) -> None:
        """Write finished jobs, all or none. Writing one again replaces it, so a repeat is harmless.

        When this returns, they are in the file at the archive's path. Raises InfrastructureError
        when that file was replaced meanwhile; the next call writes into the new one.
        """
        with self._writing() as session:
            for view in views:
                session.merge(row_of(view))

    def find(self, query: Query) -> list[JobView]:
        """Return matching jobs, newest first."""
        with self._guarded(), Session(self._reading) as session:
            documents = session.scalars(statement_of(query)).all()
        return [JobView.model_validate(document) for document in documents]

    def every(self) -> Iterator[JobView]:
        """Yield all jobs, by id, and hold a page of them at a time."""
        after = ""
        while True:
            page = select(Job.id, Job.document).where(Job.id > after).order_by(Job.id).limit(_PAGE)
            with self._guarded(), Session(self._reading) as session:
                rows = session.execute(page).all()
            if not rows:
                return
            for after, document in rows:  # noqa: B007 - the next page begins after the last
                yield JobView.model_validate(document)

    def newest_sweeps(self, tag: tuple[str, str], limit: int) -> list[str]:
        """Return the ids of the sweeps whose jobs have a tag (name, value), the newest first."""
        with self._guarded(), Session(self._reading) as session:
            found = session.scalars(newest_sweeps(tag, limit)).all()
        return [sweep_id for sweep_id in found if sweep_id is not None]

    def view(self, job_id: str) -> JobView | None:
        """Return one job, or None when it is not in the archive."""
        with self._guarded(), Session(self._reading) as session:
            job = session.get(Job, job_id)
            return None if job is None else JobView.model_validate(job.document)

    def holds(self, job_ids: Collection[str]) -> bool:
        """Whether all of these jobs are in the file or database at the archive's URL now."""
        with self._guarded():
            self._follow()
            with Session(self._reading) as session:
                found = session.scalars(select(Job.id).where(Job.id.in_(job_ids))).all()
        return set(found) >= set(job_ids)

    def forget(self, before_s: float, limit: int) -> int:
        """Delete up to `limit` jobs that ended before `before_s`, oldest first. Return how many.

        Jobs of a baseline stay.
        """
        old = (
            select(Job.id)
            .where(Job.finished_s < before_s, Job.id.not_in(select(BaselineJob.job_id)))
            .order_by(Job.finished_s)
            .limit(limit)
        )
        with self._writing() as session:
            ids = session.scalars(old).all()
            # Their tests go with them: the foreign key cascades.
            session.execute(delete(Job).where(Job.id.in_(ids)))
        return len(ids)

    def save_baseline(self, baseline: SavedBaseline, job_ids: Collection[str]) -> None:
        """Save archived jobs under a name; a baseline that has it is replaced."""
        with self._writing() as session:
            baselines.save(session, baseline, job_ids)

    def delete_baseline(self, name: str) -> bool:
        """Delete a baseline, not its jobs; returns whether there was one."""
        with self._writing() as session:
            return baselines.delete(session, name)

    def baselines(self) -> list[SavedBaseline]:
        """Return all baselines by name."""
        with self._guarded(), Session(self._reading) as session:
            return baselines.all_of(session)

    def baseline_names(self) -> list[str]:
        """Return the names of all baselines."""
        return [baseline.name for baseline in self.baselines()]

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        """A transaction on the file that is at the archive's path now."""
        with self._guarded():
            self._follow()
            with Session(self._engine) as session, session.begin():
                yield session
            if self._file and (what := self._file.changed()):
                raise self._gone(what)

    def _follow(self) -> None:
        """Open the file at the archive's path again, if it is no longer the open one."""
        if self._file and self._file.changed():
            self._engine.dispose()
            self._file.clear()
            self._prepare()

    def _prepare(self) -> None:
        if self._file is None:
            migrate.to_latest(self._engine)
            return
        self._file.prepare()
        migrate.to_latest(self._engine)
        self._file.opened()

    def _gone(self, what: str) -> InfrastructureError:
        return InfrastructureError(
            f"the results archive {self.url} {what} while it was in use",
            hint="jobs stay in Redis until they are archived",
        )

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn SQLAlchemy's exceptions into one line that names the database."""
        try:
            yield
        except SQLAlchemyError as error:
            cause = archive_url.without(str(getattr(error, "orig", None) or error), self._secrets)
            damaged = "malformed" in cause or "not a database" in cause
            raise InfrastructureError(
                f"the results archive {self.url} cannot be used: {cause}",
                hint="edgeprof export --damaged FILE -o rescued.gz reads what is left of it"
                if damaged
                else "check EDGEPROF_ARCHIVE_URL and EDGEPROF_DATA_DIR; jobs stay in Redis until"
                " they are archived",
            ) from error
