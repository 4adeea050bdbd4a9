"""Jobs as they ended, their tests in llama-bench's terms, and baselines: jobs saved by a name.

`Job.document` is the whole record (a JobView), and the truth. The other columns are written from
it, for queries in SQL. Timestamps are seconds since the epoch, by Redis' clock.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, Double, ForeignKey, Index, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


class Base(DeclarativeBase):
    """Registry of the tables. A test compares it with the schema that alembic's migrations make."""

    #: Double precision on every database: seconds since the epoch need it.
    type_annotation_map: ClassVar = {float: Double}


class Job(Base):
    """A job that has ended."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_model_quantization", "model", "quantization"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str]
    model: Mapped[str] = mapped_column(String(64))
    model_sha256: Mapped[str] = mapped_column(String(64))
    quantization: Mapped[str] = mapped_column(String(16))
    target: Mapped[str] = mapped_column(String(64))
    user: Mapped[str] = mapped_column(String(64))
    sweep_id: Mapped[str | None] = mapped_column(String(64), index=True)
    trace_id: Mapped[str | None] = mapped_column(String(32))
    attempts: Mapped[int]
    created_s: Mapped[float]
    started_s: Mapped[float | None]
    finished_s: Mapped[float | None] = mapped_column(index=True)
    # Where the job was measured; NULL unless it succeeded.
    platform: Mapped[str | None] = mapped_column(String(64), index=True)
    device_id: Mapped[str | None] = mapped_column(String(64))
    board_uid: Mapped[str | None] = mapped_column(String(64))
    host: Mapped[str | None] = mapped_column(String(64))
    emulated: Mapped[bool | None]
    # Of the document. Documents of schema 1 fill only those columns below that the result has.
    schema_version: Mapped[int] = mapped_column(server_default="1")
    # The job's inputs; the prompt is that of the first case.
    repetitions: Mapped[int | None]
    warmup: Mapped[int | None]
    n_ctx: Mapped[int | None]
    kv_type: Mapped[str | None] = mapped_column(String(16))
    prompt_text: Mapped[str | None]
    prompt_tokens: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    tags: Mapped[dict[str, str] | None] = mapped_column(JSON(none_as_null=True))
    source: Mapped[str | None] = mapped_column(String(64))
    # Over the text that the document names; NULL unless the job was scored.
    perplexity: Mapped[float | None]
    perplexity_stderr: Mapped[float | None]
    document: Mapped[dict[str, Any]] = mapped_column(JSON)

    tests: Mapped[list[Test]] = relationship(
        cascade="all, delete-orphan", order_by="Test.position", passive_deletes=True
    )


class Test(Base):
    """One measured quantity of one case: prefill (ppN) or decode (tgN), tokens per second."""

    __tablename__ = "tests"
    __test__ = False  # pytest: this is not a test class

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    test: Mapped[str] = mapped_column(String(16))
    n_prompt: Mapped[int]
    n_gen: Mapped[int]
    n_depth: Mapped[int]
    avg_ts: Mapped[float]
    stddev_ts: Mapped[float]
    samples_ts: Mapped[list[float]] = mapped_column(JSON)


class Baseline(Base):
    """Jobs that somebody has saved under a name, to compare others with."""

    __tablename__ = "baselines"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    #: What they were saved by: a sweep's id, a tag, …
    selection: Mapped[str]
    user: Mapped[str] = mapped_column(String(64))
    saved_s: Mapped[float]

    jobs: Mapped[list[BaselineJob]] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )


class BaselineJob(Base):
    """A job of a baseline. It is not deleted by age while the baseline is there."""

    __tablename__ = "baseline_jobs"

    baseline: Mapped[str] = mapped_column(
        ForeignKey("baselines.name", ondelete="CASCADE"), primary_key=True
    )
    job_id: Mapped[str] = mapped_column(
        ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True, index=True
    )
