"""Writes and finds finished jobs, in SQLite in the data folder or in PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Self

from sqlalchemy import Engine, Select, delete, select
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from edgeprof.client.llama_bench import bench_rows
from edgeprof.scheduler.archive import archive_url, engine, migrate
from edgeprof.scheduler.archive.database_file import DatabaseFile
from edgeprof.scheduler.archive.tables import Job, Test
from edgeprof.shared.errors import InfrastructureError, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView

_HINT: Final = "e.g. postgresql+psycopg://user@host/edgeprof (with psycopg installed)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to find; a field that is None filters nothing.

    since_s: only jobs that finished then or later. tags: a job must have all of them. firmware:
    the first characters of the git hash of the board's firmware.
    """

    model: str | None = None
    platform: str | None = None
    quantization: Quantization | None = None
    sweep_id: str | None = None
    since_s: float | None = None
    device_id: str | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    firmware: str | None = None
    state: JobState | None = None
    limit: int = 1000


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
                session.merge(_row(view))

    def find(self, query: Query) -> list[JobView]:
        """Return matching jobs, newest first."""
        with self._guarded(), Session(self._reading) as session:
            documents = session.scalars(_select(query)).all()
        return [JobView.model_validate(document) for document in documents]

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
        """Delete up to `limit` jobs that ended before `before_s`, oldest first. Return how many."""
        old = select(Job.id).where(Job.finished_s < before_s).order_by(Job.finished_s).limit(limit)
        with self._writing() as session:
            ids = session.scalars(old).all()
            # Their tests go with them: the foreign key cascades.
            session.execute(delete(Job).where(Job.id.in_(ids)))
        return len(ids)

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
            raise InfrastructureError(
                f"the results archive {self.url} cannot be used: {cause}",
                hint="check EDGEPROF_ARCHIVE_URL and EDGEPROF_DATA_DIR; jobs stay in Redis until"
                " they are archived",
            ) from error


def _select(query: Query) -> Select[tuple[dict[str, object]]]:
    statement = select(Job.document).order_by(Job.finished_s.desc(), Job.id).limit(query.limit)
    wanted = {
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
    return statement


def _row(view: JobView) -> Job:
    identity = view.result.identity if view.result else None
    asked = view.inputs
    score = view.result.cases[0].score if view.result else None
    return Job(
        id=view.id,
        state=view.state,
        reason=view.reason,
        model=view.model.name,
        model_sha256=view.model.sha256,
        quantization=view.model.quantization,
        target=view.target,
        user=view.user,
        sweep_id=view.sweep_id,
        trace_id=view.trace_id,
        attempts=len(view.attempts),
        created_s=view.created_s,
        started_s=view.started_s,
        finished_s=view.finished_s,
        platform=identity and identity.platform,
        device_id=identity and identity.device_id,
        board_uid=identity and identity.board_uid,
        host=identity and identity.host,
        emulated=identity and identity.emulated,
        schema_version=view.schema_version,
        repetitions=asked and asked.repetitions,
        warmup=asked.warmup if asked else None,
        n_ctx=asked and asked.n_ctx,
        kv_type=asked and asked.kv_type,
        prompt_text=asked.cases[0].prompt_text if asked else None,
        prompt_tokens=list(asked.cases[0].prompt_tokens) if asked else None,
        tags=asked.tags if asked else None,
        source=asked.source if asked else None,
        perplexity=score.perplexity if score else None,
        perplexity_stderr=score.perplexity_stderr if score else None,
        document=view.model_dump(mode="json"),
        tests=[
            Test(
                position=position,
                test=row.test,
                n_prompt=row.n_prompt,
                n_gen=row.n_gen,
                n_depth=row.n_depth,
                avg_ts=row.avg_ts,
                stddev_ts=row.stddev_ts,
                samples_ts=list(row.samples_ts),
            )
            for position, row in enumerate(bench_rows(view))
        ],
    )
