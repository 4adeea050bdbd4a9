"""What the metrics of jobs and of models share: buckets and exemplars."""

from __future__ import annotations

from typing import Final

#: For what takes a job as a whole; the edges of the customer's document are among them. The last is
#: an hour: a model of tens of megabytes, flashed over a slow link.
JOB_BUCKETS_S: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 45),
    *(60, 90, 120, 180, 240, 300, 450, 600, 900, 1200, 1800, 2700, 3600),
)


def exemplar(trace_id: str) -> dict[str, str] | None:
    """Return the exemplar that leads from a sample to its trace."""
    return {"trace_id": trace_id} if trace_id else None
