"""Whose turn it is: priorities, users, jobs that rest, jobs an old agent does not understand."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from edgeprof.shared.errors import BoardFault, Fault, HostFault, LinkFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Claim, NewJob, NoClaim
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.maintenance import StoreMaintenance
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState

MakeSpec = Callable[..., JobSpec]


def submit(store: LabStore, *specs: JobSpec) -> list[str]:
    jobs = [NewJob(spec) for spec in specs]
    store.jobs.submit(jobs, "test")
    return [job.id for job in jobs]


def claim(store: LabStore, notified_job_id: str, board: str = "b") -> Claim | NoClaim:
    return store.jobs.claim(
        notified_job_id, f"w/{time.monotonic_ns()}", device_id=board, platform="null",
        host="h", lock_domain="d",
        lease_s=60,
    )  # fmt: skip


def serve(store: LabStore, notified_job_id: str, result: Any) -> Claim:
    """Claim the job whose turn it is, and finish it."""
    held = claim(store, notified_job_id)
    assert isinstance(held, Claim), held
    store.jobs.succeed(held.job_id, held.epoch, result)
    return held


def test_priorities_order_a_mixed_queue(store: LabStore, make_spec: MakeSpec, result: Any) -> None:
    """All ten differ, 9 first, in whatever order they were submitted and their doorbells are
    received."""
    mixed = [3, 9, 0, 5, 1, 8, 2, 7, 4, 6]
    ids = submit(store, *(make_spec(priority=priority) for priority in mixed))

    served = [serve(store, notified_job_id, result).spec.priority for notified_job_id in ids]

    assert served == sorted(mixed, reverse=True)


def test_jobs_of_one_user_run_in_the_order_they_came(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """Nothing is reordered where there is no reason to."""
    ids = submit(store, *[make_spec()] * 20)

    assert [serve(store, ids[0], result).job_id for _ in ids] == ids


def test_a_sweep_does_not_starve_anothers_single_job(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """Users take turns: behind 10 000 jobs of one, the single job of another is among the next
    two."""
    sweep = submit(store, *[make_spec(user="ann")] * 10_000)
    for _ in range(5):
        serve(store, sweep[0], result)
    (single,) = submit(store, make_spec(user="bob"))

    assert single in [serve(store, sweep[0], result).job_id for _ in range(2)]


def test_two_sweeps_share_a_queue_evenly(store: LabStore, make_spec: MakeSpec, result: Any) -> None:
    """Two sweeps share a queue evenly, however much earlier one came."""
    first, *_ = submit(store, *[make_spec(user="ann")] * 100)
    submit(store, *[make_spec(user="bob")] * 100)

    users = [serve(store, first, result).spec.user for _ in range(40)]

    assert users.count("ann") == users.count("bob") == 20


def test_a_bulk_submit_orders_as_single_ones_do(store: LabStore, make_spec: MakeSpec) -> None:
    """Several users and priorities in one call, repeated by the client library: the same ranks."""
    mixed = [("ann", 5), ("ann", 5), ("bob", 5), ("ann", 9), ("bob", 5), ("cid", 5)] * 100
    jobs = [NewJob(make_spec(user=user, priority=priority)) for user, priority in mixed]
    store.jobs.submit(jobs, "test")
    store.jobs.submit(jobs, "test")

    singly = [submit(store, make_spec(user=u, priority=p, board="b"))[0] for u, p in mixed]

    redis, key = store.script.redis, store.script.key
    in_bulk = [redis.zscore(key("order:platform.null"), job.id) for job in jobs]
    assert in_bulk == [redis.zscore(key("order:board.b"), job_id) for job_id in singly]
    assert None not in in_bulk
    assert store.jobs.counts()[JobState.QUEUED] == 2 * len(jobs)


def test_cancelled_jobs_use_no_turns(store: LabStore, make_spec: MakeSpec, result: Any) -> None:
    """A sweep that was cancelled and submitted again does not wait behind its own ghost."""
    for job_id in submit(store, *[make_spec(user="ann")] * 100):
        store.jobs.cancel(job_id, "ann", "wrong model")
    submit(store, *[make_spec(user="bob")] * 100)
    again = submit(store, *[make_spec(user="ann")] * 100)

    users = [serve(store, again[0], result).spec.user for _ in range(20)]

    assert users.count("ann") == 10


def test_a_retried_job_goes_first(store: LabStore, make_spec: MakeSpec) -> None:
    """A retried job goes first, since it has waited its turn once already."""
    first, second = submit(store, make_spec(), make_spec())
    held = claim(store, second)
    assert isinstance(held, Claim)
    store.jobs.fail(held.job_id, held.epoch, HostFault("restarted"))

    again = claim(store, second)

    assert isinstance(again, Claim)
    assert (again.job_id, again.attempt) == (first, 2)


@pytest.mark.parametrize(
    ("fault", "backoff_s"),
    [
        (HostFault("disk full"), 1),
        (LinkFault("noise"), 2),
        (BoardFault("hung"), 5),
        (HostFault("stopping", code="worker_stopped"), 0),
    ],
    ids=["host", "link", "board", "handed back"],
)
def test_rest_depends_on_the_fault(fault: Fault, backoff_s: float) -> None:
    """A board that hung needs longer than a line that hiccuped."""
    assert Settings(retry_backoff_s=1).backoff_s(fault) == backoff_s


def test_job_rests_between_attempts_twice_as_long_each_time(
    store: LabStore, make_spec: MakeSpec
) -> None:
    """While it rests no doorbell brings it up; the custodian puts it back."""
    (job_id,) = submit(store, make_spec(max_attempts=9))
    key = store.script.key("delayed")
    rests = []
    for _ in range(8):
        held = claim(store, job_id)
        assert isinstance(held, Claim)
        before = time.time()
        store.jobs.fail(job_id, held.epoch, LinkFault("noise"), backoff_s=2)
        due_s = store.script.redis.zscore(key, job_id)
        assert isinstance(due_s, float)
        rests.append(round(due_s - before))
        assert claim(store, job_id) == "gone"
        assert store.jobs.state(job_id) is JobState.QUEUED
        store.script.redis.zadd(key, {job_id: 0})
        assert stale_notifications(store.maintenance) == [job_id]

    assert rests == [2, 4, 8, 16, 32, 60, 60, 60]


def stale_notifications(maintenance: StoreMaintenance) -> list[str]:
    return [
        b.job_id
        for b in maintenance.stale_notifications(0, key_prefix="none:", separator="/", last_step=0)
    ]


def test_old_agent_leaves_newer_jobs_queued(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """A job of a newer schema waits for a newer agent, and holds up none that the old one
    understands."""
    newer, older = submit(store, make_spec(priority=9), make_spec())
    store.script.redis.hset(store.script.key(f"job:{newer}"), "schema", 99)

    assert serve(store, newer, result).job_id == older
    assert claim(store, newer) == "needs a newer agent"
    assert store.jobs.state(newer) is JobState.QUEUED


def test_late_result_is_refused_and_told(store: LabStore, make_spec: MakeSpec, result: Any) -> None:
    """A stalled worker's late result is refused, and the job's history says so."""
    (job_id,) = submit(store, make_spec())
    held = claim(store, job_id)
    assert isinstance(held, Claim)
    store.jobs.reclaim("b", "d", "test")
    serve(store, job_id, result)

    assert store.jobs.succeed(job_id, held.epoch, result) is None
    assert store.jobs.history(job_id)[-1].reason == f"late result of epoch {held.epoch} refused"


def test_nobody_is_taken_for_dead_after_redis_was_away(
    store: LabStore, make_spec: MakeSpec
) -> None:
    """Workers could not renew either: they get a lease's time to do so."""
    (job_id,) = submit(store, make_spec())
    assert isinstance(claim(store, job_id), Claim)
    redis, key = store.script.redis, store.script.key
    store.maintenance.expire_leases("custodian", 15, 8)
    redis.zadd(key("leases"), {job_id: 0})
    redis.set(key("last_sign"), time.time() - 60)

    assert store.maintenance.expire_leases("custodian", 15, 8) == []

    redis.set(key("last_sign:grace"), 0)
    assert [job for job, *_ in store.maintenance.expire_leases("custodian", 15, 8)] == [job_id]


def test_a_doorbell_of_nothing_does_for_what_waits(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """A doorbell without a job for its board makes the board look at its own queues, so that no
    number of such doorbells holds up a job."""
    (others,) = submit(store, make_spec(board="other"))
    (served,) = submit(store, make_spec())
    serve(store, served, result)
    for notified_job_id in ("ghost", served, others):
        for board in (None, "b"):
            (waiting,) = submit(store, make_spec(board=board))
            assert serve(store, notified_job_id, result).job_id == waiting

    assert claim(store, "ghost") == "gone"
    assert claim(store, others) == "not for this board"
    assert store.jobs.state(others) is JobState.QUEUED


def test_a_doorbell_of_nothing_gives_a_held_board_its_own_jobs_only(
    store: LabStore, make_spec: MakeSpec, result: Any
) -> None:
    """A quarantined board takes no job that others could take, whatever it hears."""
    (shared,) = submit(store, make_spec())
    held = {"state": BoardState.QUARANTINED, "reason": "faults", "actor": "test", "s": 0}
    store.script.redis.hset("edgeprof:boards:cordoned", "b", json.dumps(held))

    assert claim(store, shared) == "quarantined"
    assert claim(store, "ghost") == "gone"
    (own,) = submit(store, make_spec(board="b"))
    assert serve(store, "ghost", result).job_id == own
    assert store.jobs.state(shared) is JobState.QUEUED
