"""Which finished jobs are meant. Data only: the results archive answers it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.model import Quantization


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs to find; a field that is None filters nothing.

    since_s, until_s: only jobs that finished then or later, and before that. tags: a job must have
    all of them. firmware: the first characters of the git hash of the board's firmware. baseline:
    only jobs that were saved under this name.
    """

    job_id: str | None = None
    model: str | None = None
    platform: str | None = None
    quantization: Quantization | None = None
    sweep_id: str | None = None
    since_s: float | None = None
    until_s: float | None = None
    device_id: str | None = None
    user: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    firmware: str | None = None
    baseline: str | None = None
    state: JobState | None = None
    limit: int = 1000
