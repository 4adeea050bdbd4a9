"""The results archive: every finished job in SQL, long after Redis has deleted it."""

from edgeprof.scheduler.archive.archive import Archive, Query

__all__ = ["Archive", "Query"]
