"""What a job is expected to take, in its record and over a queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from edgeprof.client.foresight import Foresight
from edgeprof.client.planning import Planned
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import Basis, Expected, JobSpec
from edgeprof.shared.types.result import JobView

EXPECTED = Expected(attempt_s=12.5, basis=Basis.PREDICTED)

MakeSpec = Callable[..., JobSpec]


def submit(store: LabStore, spec: JobSpec, *expected: Expected | None) -> list[str]:
    jobs = [NewJob(spec.model_copy(), expected=each) for each in expected]
    store.jobs.submit(jobs, "test")
    return [job.id for job in jobs]


def depths(store: LabStore) -> list[tuple[int, int, float]]:
    return [(d.jobs, d.expected_jobs, d.expected_s) for d in store.jobs.queue_depths()]


def test_a_record_keeps_what_was_expected(store: LabStore, make_spec: MakeSpec) -> None:
    """It is shown with the job, and summed over its queue; of other jobs nothing is said."""
    known, unknown = submit(store, make_spec(), EXPECTED, None)

    assert [store.jobs.view(job_id).expected for job_id in (known, unknown)] == [EXPECTED, None]
    assert depths(store) == [(2, 1, 12.5)]


@pytest.mark.parametrize("value", ["nan", "-3", "1e9", "soon"])
def test_somebody_elses_expectation_counts_for_nothing(
    store: LabStore, make_spec: MakeSpec, value: str
) -> None:
    """A value that no client of ours wrote hides neither the job nor its queue."""
    (job_id,) = submit(store, make_spec(), EXPECTED)
    store.script.guarded(
        lambda redis: redis.hset(store.script.key(f"job:{job_id}"), "expected_s", value)
    )

    assert store.jobs.view(job_id).expected is None
    assert depths(store) == [(1, 0, 0.0)]


def test_a_long_queue_is_judged_by_some_of_its_jobs(store: LabStore, make_spec: MakeSpec) -> None:
    """A scrape looks at 200 of them; where all take as long, the sum is exact."""
    submit(store, make_spec(), *[EXPECTED] * 500)

    assert depths(store) == [(500, 500, 500 * 12.5)]


def test_jobs_are_queued_without_history(make_spec: MakeSpec) -> None:
    """A store that does not tell what has run stops no submission, and is not asked at each."""
    asked = []

    def newest() -> Sequence[JobView]:
        asked.append(1)
        raise StoreUnavailable("away")

    plan = Planned(make_spec(), resolve("shakespeare-240k"), "stm32f405")
    foresight = Foresight(newest)

    assert foresight.of([plan, plan]) == [None, None]
    assert foresight.of([plan]) == [None]
    assert len(asked) == 1
