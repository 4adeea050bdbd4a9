"""Measured jobs as typed rows, and as the tables of pandas and Arrow.

rows = Lab().results("sweep-1a2b3c4d")
rows.to_pandas().pivot_table("avg_ts", "model_type", "backends")
"""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypedDict, get_args, get_origin, get_type_hints, overload

from edgeprof.client.csv_rows import csv_text
from edgeprof.client.llama_bench import BenchRow, bench_rows
from edgeprof.client.query import Query
from edgeprof.client.selection import MOST_JOBS, JobSource, select
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView


class ResultFilter(TypedDict, total=False):
    """Which measured jobs are meant; what is left out filters nothing."""

    model: str
    platform: str
    quantization: Quantization | str
    board: str
    user: str
    #: A job must have all of them.
    tags: Mapping[str, str]
    #: First characters of the git hash of the board's firmware.
    firmware: str
    #: At most so many jobs, the newest; 1000 unless told otherwise.
    limit: int


class Results(Sequence[BenchRow]):
    """Rows of measured jobs, a row a test: prefill (ppN) or decode (tgN), as llama-bench has them.

    The newest job comes first. to_pandas() and the others need packages that pip installs by
    'tiny-llm-edge-profiler[data]'.
    """

    def __init__(self, views: Sequence[JobView]) -> None:
        #: The whole records.
        self.jobs = tuple(view for view in views if view.result is not None)
        self._rows = tuple(row for view in self.jobs for row in bench_rows(view))

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> BenchRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[BenchRow]: ...
    def __getitem__(self, index: int | slice) -> BenchRow | Sequence[BenchRow]:
        return self._rows[index]

    def __iter__(self) -> Iterator[BenchRow]:
        return iter(self._rows)

    def __repr__(self) -> str:
        return f"<Results: {len(self.jobs)} job(s), {len(self)} rows>"

    def to_arrow(self) -> Any:
        """Return a pyarrow.Table, whose schema is always the same, also without rows."""
        arrow = _imported("pyarrow")
        hints = get_type_hints(BenchRow)
        schema = arrow.schema(
            [(field.name, _arrow_type(arrow, hints[field.name])) for field in fields(BenchRow)]
        )
        return arrow.Table.from_pylist([_plain(row) for row in self], schema=schema)

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame. What was not measured is NaN or None; lists stay lists."""
        names = [field.name for field in fields(BenchRow)]
        return _imported("pandas").DataFrame([asdict(row) for row in self], columns=names)

    def to_csv(self, file: str | Path) -> None:
        """Write what `edgeprof results --format csv` prints."""
        Path(file).write_text(csv_text(self) + "\n", encoding="utf-8")

    def to_parquet(self, file: str | Path) -> None:
        """Write an Apache Parquet file, which pandas, DuckDB, R and others read."""
        _imported("pyarrow.parquet").write_table(self.to_arrow(), str(file))

    @classmethod
    def find(cls, settings: Settings, words: Sequence[str], where: ResultFilter) -> Self:
        """Find results in the archive of these settings. Raises as selection.select does."""
        with _archive(settings) as archive:
            query = _query(where)
            if not words:
                return cls(archive.find(query))
            found = [select(word, archive) for word in words]
            views = {view.id: view for each in found for view in each.views}
            if where:
                kept = {view.id for view in archive.find(replace(query, limit=MOST_JOBS))}
                views = {job_id: view for job_id, view in views.items() if job_id in kept}
            return cls(list(views.values())[: query.limit])


class _Archive(JobSource, AbstractContextManager["_Archive"], Protocol):
    """edgeprof.scheduler.archive.Archive, as it is used here."""


def _archive(settings: Settings) -> _Archive:
    """Open the archive.

    It is found by name, as commands of other packages are: it is a layer above this one, and a
    client that only submits imports neither it nor SQLAlchemy.
    """
    found: _Archive = importlib.import_module("edgeprof.scheduler.archive").Archive.open(settings)
    return found


def _query(where: ResultFilter) -> Query:
    named: dict[str, Any] = dict(where)
    if "board" in named:
        named["device_id"] = named.pop("board")
    if "quantization" in named:
        named["quantization"] = Quantization(named["quantization"])
    return Query(state=JobState.SUCCEEDED, **named)


def _plain(row: BenchRow) -> dict[str, Any]:
    values = asdict(row)
    values["tags"] = None if row.tags is None else list(row.tags.items())
    return values


def _arrow_type(arrow: Any, hint: Any) -> Any:
    """Return Arrow's type for the type of a field; every type may be null there."""
    if isinstance(hint, types.UnionType):
        (hint,) = (each for each in get_args(hint) if each is not types.NoneType)
    if get_origin(hint) is tuple:
        return arrow.list_(_arrow_type(arrow, get_args(hint)[0]))
    if get_origin(hint) is dict:
        return arrow.map_(arrow.string(), arrow.string())
    kinds = {str: arrow.string(), int: arrow.int64(), float: arrow.float64(), bool: arrow.bool_()}
    return kinds[hint]


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InfrastructureError(
            f"{name.partition('.')[0]} is not installed: {error}",
            hint="pip install 'tiny-llm-edge-profiler[data]'",
        ) from None
