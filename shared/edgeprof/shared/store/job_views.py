"""A job's view, made of what the script's `read` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.packing import unpack
from edgeprof.shared.store.script import text
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.job import SCHEMA_VERSION, Attempt, Expected, JobSpec, JobState
from edgeprof.shared.types.result import Inputs, JobResult, JobView

#: Times beyond this, in the year 9000, were not written by us.
_LATEST_S: Final = 2.2e11


def view_of(job_id: str, reply: Sequence[Any]) -> JobView | None:
    """Make a view of a job from the reply of the script's `read`; None when there is no such job.

    The reply has bytes, because a part of it may be packed.

    Raises ValueError or KeyError for a record that this version cannot read.
    """
    if not reply:
        return None
    if len(reply) == 1:
        raise ValueError(text(reply[0]))
    *plain, packed = reply
    flat, attempts, result = text(plain)
    record: dict[str, str] = dict(zip(flat[::2], flat[1::2], strict=True))
    if packed:
        bulk = unpack(packed)
        record["spec"], attempts, result = bulk.spec, bulk.attempts, bulk.result
    spec = JobSpec.read(record["spec"])
    return JobView(
        schema_version=SCHEMA_VERSION,
        id=job_id,
        state=JobState(record["state"]),
        reason=one_line(record["reason"]),
        model=spec.model,
        target=str(spec.target),
        priority=spec.priority,
        user=spec.user,
        sweep_id=spec.sweep_id,
        created_s=_time(record["created_s"]),
        started_s=_time(record["started_s"]) if "started_s" in record else None,
        finished_s=_time(record["finished_s"]) if "finished_s" in record else None,
        attempts=tuple(_attempts(attempts)),
        trace_id=trace_id_of(record["traceparent"]) or None,
        inputs=Inputs.of(spec),
        expected=_expected(record),
        result=JobResult.read(result) if result else None,
    )


def _time(value: str) -> float:
    """Parse seconds since the epoch; raises ValueError for a time beyond the year 9000."""
    time_s = float(value)
    if not 0 <= time_s < _LATEST_S:
        raise ValueError("a time is none")
    return time_s


def _expected(record: Mapping[str, str]) -> Expected | None:
    """Return the expected duration; None also where somebody else wrote what is none."""
    if "expected_s" not in record:
        return None
    try:
        return Expected.model_validate(
            {"attempt_s": record["expected_s"], "basis": record.get("expected_by")}
        )
    except ValueError:
        return None


def _attempts(lines: Sequence[str]) -> Iterator[Attempt]:
    """Yield the attempts that can be read: one that cannot must not hide how the job ended."""
    for line in lines:
        with suppress(ValueError):
            yield Attempt.read(line)
