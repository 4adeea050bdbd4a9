"""Whatever one login can write into the store costs itself, and no honest job anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeprof.scheduler.custodian import Custodian
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec, JobState
from tests.queue.bystander import BOARD, Bystander

MakeSpec = Callable[..., JobSpec]


def test_newer_agent_finds_the_jobs_set_apart(store: LabStore, make_spec: MakeSpec) -> None:
    """A newer agent finds the jobs that an older one set apart, in their order."""
    first, second = NewJob(make_spec(priority=9)), NewJob(make_spec(priority=1))
    store.jobs.submit([second, first], "test")
    older = ("claim", first.id, "old", "b", "null", "h", "d", 60, SCHEMA_VERSION - 1, "")
    newer = ("claim", first.id, "new", "b", "null", "h", "d", 60, SCHEMA_VERSION, "")

    assert store.script.call(*older) == ["needs a newer agent"]
    assert store.script.call(*newer)[1] == first.id


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "x"),
        ("priority", "-5"),
        ("queue", "x"),
        ("queue", "platform." + "x" * 500),
        ("max_attempts", ""),
        ("deadline_s", "nan"),
        ("queue_timeout_s", "soon"),
        ("spec", ""),
        ("state", "delayed"),
        ("state", "succeeded"),
    ],
)
def test_malformed_field_costs_its_own_job(
    store: LabStore, settings: Settings, field: str, value: str
) -> None:
    """A malformed field fails its own job, unless that has ended; the others go on."""
    lab = Bystander(store, settings)
    spoiled = lab.submit()
    store.script.redis.hset(f"edgeprof:job:{spoiled}", field, value)

    lab.finish()

    record = store.script.redis.hget(f"edgeprof:job:{spoiled}", "state")
    assert record == (value.encode() if field == "state" else b"failed")


@pytest.mark.parametrize(
    "field", ["max_attempts", "queue", "device", "host", "epoch", "queue_timeout_s"]
)
@pytest.mark.parametrize("value", [None, "", "x"])
def test_running_job_whose_record_is_spoiled_ends(
    store: LabStore, settings: Settings, field: str, value: str | None
) -> None:
    """A running job whose record is spoiled ends for its waiters, and its board is free for the
    next."""
    lab = Bystander(store, settings)
    held = lab._claim()
    assert isinstance(held, Claim)
    key = f"edgeprof:job:{held.job_id}"
    if value is None:
        store.script.redis.hdel(key, field)
    else:
        store.script.redis.hset(key, field, value)
    store.script.redis.zadd("edgeprof:leases", {held.job_id: 0})
    store.script.redis.delete("edgeprof:last_sign")

    Custodian(store, settings).tick()

    assert store.jobs.state(held.job_id) in {JobState.FAILED, JobState.QUEUED}
    other = lab.submit()
    assert isinstance(lab._claim(), Claim)
    assert store.jobs.state(other)


def test_lost_records_are_forgotten_everywhere(store: LabStore, settings: Settings) -> None:
    """A job whose record somebody deleted is a ghost in every set, prunable and leased ones too."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    for name in ("leases", "prunable", "delayed", "deadlines", "unarchived", "jobs:running"):
        redis.zadd(f"edgeprof:{name}", {"ghost": 0})
    redis.delete("edgeprof:last_sign")

    custodian = Custodian(store, settings, lab.archived.extend)
    custodian.tick()
    custodian.tick()

    for name in ("leases", "prunable", "delayed", "deadlines", "unarchived", "jobs:running"):
        assert redis.zscore(f"edgeprof:{name}", "ghost") is None, name


def test_token_is_never_lower_than_the_time_nor_far_ahead_of_it(store: LabStore) -> None:
    """Boards refuse one that is lower than the last: a small or huge one that somebody wrote is not
    counted on."""
    redis, seen = store.script.redis, store.boards.next_epoch()
    for written in ("5", "-1", "x", str(2**53), str(2**63 - 1)):
        redis.set("edgeprof:epoch", written)

        assert seen <= store.boards.next_epoch() < 2 * seen, written


def test_board_is_not_busy_with_a_job_that_it_does_not_run(
    store: LabStore, settings: Settings
) -> None:
    """A board is not busy with a ghost, however long the lease that somebody gave the ghost."""
    lab = Bystander(store, settings)
    store.script.redis.hset("edgeprof:running_on", "b", "ghost")
    store.script.redis.zadd("edgeprof:leases", {"ghost": 1e14})

    assert isinstance(lab._claim(), Claim)


def test_lease_and_announcement_without_end_are_ended(store: LabStore, settings: Settings) -> None:
    """A lease or announcement without an end is given one, else a job would never be tried
    again."""
    lab = Bystander(store, settings)
    held = lab._claim()
    assert isinstance(held, Claim)
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)
    redis = store.script.redis
    redis.zadd("edgeprof:leases", {held.job_id: 1e14})
    redis.zadd("edgeprof:boards:until", {"b": float("inf")})

    lab._custodian.tick()

    assert store.jobs.state(held.job_id) is JobState.QUEUED
    assert [each.state for each in store.boards.all()] == [BoardState.OFFLINE]


def test_names_that_are_no_queues_lead_the_custodian_to_no_other_key(
    store: LabStore, settings: Settings
) -> None:
    """A name that is no queue's never leads the custodian, who may delete more than a client, to
    another key."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    redis.sadd("edgeprof:doorbell:_kombu.binding.celery.pidbox", "x")
    redis.sadd("edgeprof:queues", "_kombu.binding.celery.pidbox", "x" * 10**6)

    lab.finish()

    assert redis.exists("edgeprof:doorbell:_kombu.binding.celery.pidbox")
    assert redis.smembers("edgeprof:queues") == set()


def test_attempts_and_results_that_nobody_can_read_hide_no_end(
    store: LabStore, settings: Settings
) -> None:
    """A waiter learns how a job ended even if its attempts or result cannot be read."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    redis.rpush(f"edgeprof:work:{lab.victim}:attempts", "x", '{"number": NaN}', "[1]", "x" * 10**6)
    redis.set(f"edgeprof:work:{lab.victim}:result", "x" * 10**7)

    lab.finish()


def test_ids_that_are_no_names_hold_up_no_archive(store: LabStore, settings: Settings) -> None:
    """Nobody finds those again that are no text: they are taken out where they are met."""
    lab = Bystander(store, settings)
    redis = store.script.redis
    for number in range(300):
        odd = b"\xff\n%d" % number
        redis.hset(b"edgeprof:job:" + odd, "state", "failed")
        redis.zadd("edgeprof:unarchived", {odd: number})

    lab.finish()

    assert store.maintenance.unarchived_count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [("clock_hz", 10**400), ("n_ctx_max", 2**63), ("timer_resolution_ns", -(2**70))],
)
def test_number_that_nothing_can_count_with_costs_its_record(
    store: LabStore, field: str, value: int
) -> None:
    """A number that would end a table, a page or a transaction costs only its own record."""
    told = BOARD.model_copy(update={"device_id": "x", field: value})
    store.boards.announce(Owner("h", "d", "01"), told, 60)
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 60)

    assert [each.device_id for each in store.boards.all()] == ["b"]


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "-1"])
def test_job_of_a_time_that_no_calendar_has_is_not_listed(
    store: LabStore, settings: Settings, value: str
) -> None:
    """A job with a time that no calendar has is not listed."""
    lab = Bystander(store, settings)
    spoiled = lab.submit()
    store.script.redis.hset(f"edgeprof:job:{spoiled}", "created_s", value)

    assert [view.id for view in store.jobs.views([spoiled, lab.victim])] == [lab.victim]
