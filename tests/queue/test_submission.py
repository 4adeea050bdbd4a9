"""Many jobs in one call of the script: shared records, doorbells, and model files that must be
there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.client import Lab
from edgeprof.client.request import Request
from edgeprof.shared.queue import doorbell
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Doorbell, NewJob, new_job_ids
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.submission import NeededBlob
from edgeprof.shared.types.job import JobSpec

QUEUE = "platform.null"
LIST = doorbell.list_key(QUEUE, 5)
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


def test_the_script_writes_doorbells_as_python_does(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """In the order of the jobs, each with its own trace, and as `doorbell.write` has it."""
    spec = make_spec()
    jobs = [NewJob(spec, TRACE), NewJob(spec, ""), NewJob(make_spec(), TRACE)]

    store.jobs.submit(jobs, "test", notify=True)

    for job in jobs:
        sent = store.script.redis.rpop(LIST)
        assert isinstance(sent, bytes)
        assert doorbell.read(sent, QUEUE) == sent.decode()
        tag = sent.decode().rpartition('"delivery_tag": "')[2][:36]
        told = Doorbell(job.id, QUEUE, job.traceparent, job.spec.label)
        assert sent.decode() == doorbell.write(told, 5, tag)


def test_a_repeated_call_changes_nothing(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """No record, no place in the queue and no doorbell is there twice."""
    jobs = [NewJob(make_spec()) for _ in range(3)]

    store.jobs.submit(jobs, "test", notify=True)
    store.jobs.submit(jobs, "test", notify=True)

    assert store.doorbells.waiting(QUEUE) == 3
    assert [len(store.jobs.history(job.id)) for job in jobs] == [1, 1, 1]


def test_jobs_that_share_a_record_differ_in_the_rest(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """More jobs than the script writes at once, of two records in turn."""
    specs = [make_spec(), make_spec(priority=7)]
    jobs = [NewJob(specs[i % 2], f"00-{i:032x}-{'b' * 16}-01") for i in range(2500)]

    store.jobs.submit(jobs, "test", notify=True)

    for place in (0, 1, 1234, 2499):
        assert store.jobs.spec(jobs[place].id) == specs[place % 2]
        assert store.jobs.view(jobs[place].id).trace_id == f"{place:032x}"
    assert store.doorbells.waiting(QUEUE) == 2500


def test_nothing_is_written_without_its_model_file(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """A file that is missing, or of another length, is named; one that is there is kept longer."""
    there = NeededBlob("a" * 64, 3, 1000)
    wrong, gone = NeededBlob("b" * 64, 4, 1000), NeededBlob("c" * 64, 5, 1000)
    redis = store.script.redis
    redis.set(f"edgeprof:blob:{there.sha256}", b"abc", ex=10)
    redis.set(f"edgeprof:blob:{wrong.sha256}", b"abc", ex=10)
    job = NewJob(make_spec())

    missing = store.jobs.submit([job], "test", notify=True, blobs=[there, wrong, gone])

    assert missing == [wrong, gone]
    assert redis.exists(f"edgeprof:job:{job.id}", LIST) == 0
    assert store.jobs.submit([job], "test", blobs=[there]) == []
    assert int(str(redis.ttl(f"edgeprof:blob:{there.sha256}"))) > 900


def test_a_spoilt_list_of_doorbells_keeps_no_job_out(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """The custodian sends them later."""
    store.script.redis.set(LIST, "x")
    job = NewJob(make_spec())

    store.jobs.submit([job], "test", notify=True)

    assert not store.jobs.state(job.id).terminal


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_ids_are_in_their_order_and_differ(count: int) -> None:
    """As many as were asked for, twelve characters each."""
    ids = new_job_ids(count)

    assert len(set(ids)) == count
    assert ids == sorted(ids)
    assert {len(job_id) for job_id in ids} == {12}


def test_a_model_file_that_vanished_is_uploaded_again(settings: Settings) -> None:
    """Also by a client that uploaded it a moment ago."""
    request = Request(model="shakespeare-240k", platform="null", wait_for_board=True)
    with Lab(settings=settings) as lab:
        first, *_ = lab.submit_many([request] * 3)
        sha256 = lab.store.jobs.spec(first.id).model.sha256
        lab.store.script.redis.delete(f"edgeprof:blob:{sha256}")
        lab.submit_many([request])

        assert lab.store.blobs.size(sha256) > 0
