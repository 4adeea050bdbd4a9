"""Finds jobs, results and boards: open jobs in Redis, ended ones there or in the archive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from edgeprof.client.query import Query
from edgeprof.client.selection import JobSource
from edgeprof.shared.errors import BoardNotFound, JobNotFound, NotFound, StoreUnavailable
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import OPEN, JobFilter, JobSearch
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView

#: Most jobs of a sweep that a page shows.
MOST: Final = 2000


class ArchivedJobs(JobSource, Protocol):
    """The archive, as pages read it."""

    def view(self, job_id: str) -> JobView | None:
        """Return one job, or None when it is not in the archive."""
        ...


class Records:
    """Reads a lab. Raises NotFound, and InfrastructureError when a store does not answer."""

    def __init__(self, store: LabStore, archive: ArchivedJobs) -> None:
        self.archive = archive
        self._store = store
        self._search = JobSearch(store.script)

    def job(self, job_id: str) -> JobView:
        """Return a job that is in Redis or in the archive, also while Redis is away."""
        try:
            return self._store.jobs.view(job_id)
        except (JobNotFound, StoreUnavailable):
            archived = self.archive.view(job_id)
            if archived is None:
                raise
            return archived

    def jobs(self, state: JobState | None, where: JobFilter, limit: int) -> list[JobView]:
        """Return the newest jobs in Redis that match, newest first."""
        index = "jobs" if state is None else f"jobs:{state}"
        return self._store.jobs.views(self._search.newest(index, where, limit))

    def count(self, state: JobState) -> int:
        """Return how many jobs are in a state."""
        key = self._store.script.key(f"jobs:{state}")
        return int(self._store.script.guarded(lambda redis: redis.zcard(key)))

    def results(self, query: Query) -> list[JobView]:
        """Return jobs that ended, newest first."""
        return self.archive.find(query)

    def sweep(self, sweep_id: str) -> list[JobView]:
        """Return the jobs of a sweep: those that wait or run, then those that have ended."""
        where = JobFilter(sweep_id=sweep_id)
        # First those that are open: what ends meanwhile is in the archive or in Redis after that.
        found = {view.id: view for state in OPEN for view in self.jobs(state, where, MOST)}
        found |= {view.id: view for view in self.results(Query(sweep_id=sweep_id, limit=MOST))}
        if not found:
            raise NotFound(f"no sweep {sweep_id!r}, in Redis or in {self.archive.url}")
        return list(found.values())

    def boards(self) -> Sequence[BoardInfo]:
        """Return every board that was announced."""
        return sorted(self._store.boards.all(), key=lambda board: board.device_id)

    def board(self, device_id: str) -> BoardInfo:
        """Return one board."""
        for board in self.boards():
            if board.device_id == device_id:
                return board
        raise BoardNotFound(f"no board {device_id!r} was ever announced")
