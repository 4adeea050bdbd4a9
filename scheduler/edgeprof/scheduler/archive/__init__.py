"""Results for good: every finished job in SQL, long after Redis has forgotten it."""

from edgeprof.scheduler.archive.archive import Archive, Query

__all__ = ["Archive", "Query"]
