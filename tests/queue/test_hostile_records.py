"""Records that somebody else wrote into Redis: none holds up the next."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import MAX_TAGS, JobSpec, JobState

MakeSpec = Callable[..., JobSpec]


def submit(store: LabStore, wanted: JobSpec, **fields: str) -> str:
    job = NewJob(wanted)
    store.jobs.submit([job], "test")
    for name, value in fields.items():
        store.script.redis.hset(store.script.key(f"job:{job.id}"), name, value)
    return job.id


def claim(store: LabStore, notified_job_id: str) -> Claim | NoClaim:
    return store.jobs.claim(
        notified_job_id, "w", device_id="b", platform="null", host="h", lock_domain="d", lease_s=60
    )


@pytest.mark.parametrize(
    "spec",
    [
        "{}",
        "not JSON",
        "[" * 100_000,
        '{"cases":' + '{"a":' * 50_000,
        json.dumps({"tags": {str(n): "x" for n in range(MAX_TAGS + 1)}}),
    ],
    ids=["empty", "not JSON", "deep list", "deep object", "many tags"],
)
def test_malformed_record_is_failed_and_holds_up_nothing(
    store: LabStore, make_spec: MakeSpec, spec: str
) -> None:
    """A malformed record ends its job with a reason, and the next job is granted."""
    bad = submit(store, make_spec(), spec=spec)
    good = submit(store, make_spec())

    assert claim(store, bad) == "malformed"
    held = claim(store, good)
    assert isinstance(held, Claim)
    assert held.job_id == good
    assert store.jobs.state(bad) is JobState.FAILED
    assert store.jobs.views([bad, good])[-1].id == good


def test_record_that_is_too_large_is_not_read(store: LabStore, make_spec: MakeSpec) -> None:
    """A record that would fill the worker's memory is ended by the store itself."""
    huge = submit(store, make_spec(), spec="x" * (JobSpec.largest_bytes + 1))

    assert claim(store, huge) == "gone"
    assert store.jobs.state(huge) is JobState.FAILED
    assert isinstance(claim(store, submit(store, make_spec())), Claim)
