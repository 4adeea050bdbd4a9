"""/api/v1: jobs, results and boards as JSON, with the fields of `edgeprof … --json`. GET only."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from werkzeug.datastructures import MultiDict

from edgeprof.client.llama_bench import bench_rows
from edgeprof.scheduler.site.openapi import Operation, document
from edgeprof.scheduler.site.queries import JobsQuery, NoQuery, ResultsQuery
from edgeprof.scheduler.site.records import Records
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.result import JobView

API: Final = "/api/v1"

OPERATIONS: Final = (
    Operation(f"{API}/jobs", "The newest jobs in Redis, newest first.", "JobView", JobsQuery),
    Operation(f"{API}/jobs/{{name}}", "One job, also one that only the archive has.", "JobView"),
    Operation(
        f"{API}/results",
        "Measured jobs of the archive, newest first: a row a test, as of llama-bench.",
        "BenchRow",
        ResultsQuery,
    ),
    Operation(f"{API}/boards", "All boards, offline ones too.", "BoardInfo", NoQuery),
    Operation(f"{API}/boards/{{name}}", "One board.", "BoardInfo"),
)

Args = MultiDict[str, str]


class Api:
    """Answers with what json.dumps takes."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def jobs(self, query: Args) -> list[dict[str, Any]]:
        """Return jobs."""
        asked = JobsQuery.read(query)
        return [_json(view) for view in self._records.jobs(asked.state, asked.where, asked.limit)]

    def job(self, query: Args, name: str) -> dict[str, Any]:
        """Return one job."""
        NoQuery.read(query)
        return _json(self._records.job(name))

    def results(self, query: Args) -> list[dict[str, Any]]:
        """Return rows."""
        found = self._records.results(ResultsQuery.read(query).where)
        return [row.as_dict() for view in found for row in bench_rows(view)]

    def boards(self, query: Args) -> list[dict[str, Any]]:
        """Return all boards."""
        NoQuery.read(query)
        return [_json(board) for board in self._records.boards()]

    def board(self, query: Args, name: str) -> dict[str, Any]:
        """Return one board."""
        NoQuery.read(query)
        return _json(self._records.board(name))

    def openapi(self, query: Args) -> dict[str, Any]:
        """Return the document that describes all this."""
        NoQuery.read(query)
        return openapi_document()


@cache
def openapi_document() -> dict[str, Any]:
    """Return the OpenAPI document of the API."""
    return document(OPERATIONS)


def _json(record: JobView | BoardInfo) -> dict[str, Any]:
    return record.model_dump(mode="json")
