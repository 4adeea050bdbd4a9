"""The results archive: every finished job in SQL, long after Redis has deleted it."""

from edgeprof.client.query import Query
from edgeprof.scheduler.archive.archive import Archive

__all__ = ["Archive", "Query"]
