"""An archived job takes little room in Redis, and everything about it can still be read."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

from edgeprof.shared.store import packing
from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import JobFilter, JobSearch
from edgeprof.shared.types.job import Basis, Expected, JobSpec
from tests.support.finished_job import job_result

BULK = packing.Bulk('{"spec": "ü"}', ["{}", '{"number":2}'], ['{"s":1}'], "")


def _finished(store: LabStore, spec: JobSpec) -> str:
    job = NewJob(spec, expected=Expected(attempt_s=12, basis=Basis.PREDICTED))
    store.jobs.submit([job], "test")
    claim = store.jobs.claim(
        job.id,
        "worker",
        device_id="null-01",
        platform="null",
        host="bench",
        lock_domain="d",
        lease_s=60,
    )
    assert isinstance(claim, Claim)
    store.jobs.succeed(job.id, claim.epoch, job_result(spec.model, "stm32f405"))
    return job.id


def _bytes(store: LabStore, job_id: str) -> int:
    """Memory of all keys of a job but its events, which stay for ten minutes only."""
    redis: Any = store.script.redis
    keys = [key for key in redis.keys(f"*{job_id}*") if not key.endswith(b":events")]
    return sum(redis.memory_usage(key, samples=0) or 0 for key in keys)


def test_archived_job_is_small_and_whole(
    store: LabStore, make_spec: Callable[..., JobSpec]
) -> None:
    """Its view, history, specification and searches are the same as before it was packed."""
    job_id = _finished(store, make_spec(user="ann", sweep_id="s1"))
    before = (store.jobs.view(job_id), store.jobs.history(job_id), store.jobs.spec(job_id))
    assert store.jobs.events(job_id)

    for _ in range(2):  # a second time, it is packed already
        store.maintenance.archived([job_id], 1e6)

    assert (store.jobs.view(job_id), store.jobs.history(job_id), store.jobs.spec(job_id)) == before
    search = JobSearch(store.script)
    for where in (JobFilter(sweep_id="s1"), JobFilter(board="null-01"), JobFilter(user="ann")):
        assert search.newest("jobs", where, 5) == [job_id]
    assert search.newest("jobs", JobFilter(sweep_id="s2"), 5) == []
    assert 0 < store.script.redis.ttl(store.script.key(f"job:{job_id}:events")) <= 600
    assert _bytes(store, job_id) < 2000


def test_round_trip() -> None:
    """What comes out is what went in."""
    assert packing.unpack(packing.pack(BULK)) == BULK


@pytest.mark.parametrize(
    "packed",
    [
        b"x",
        packing.pack(BULK)[:-4],
        *(
            (made := zlib.compressobj(9, wbits=-15)).compress(data) + made.flush()
            for data in (b"", b"[1]\n", b"[1,2,3]\nabc", b"{}\n", b"[0,-1,1]\n", b" " * 2**25)
        ),
    ],
)
def test_damaged_pack_is_refused(packed: bytes) -> None:
    """Also one that would fill the memory when it is unpacked."""
    with pytest.raises(ValueError, match=r".+"):
        packing.unpack(packed)
