"""A flood of records in Redis hides no job and no board, and its cost is bounded."""

from __future__ import annotations

import time

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import SCHEMA_VERSION, JobState
from tests.queue.bystander import BOARD, Bystander
from tests.support.jobs import make_spec


@pytest.mark.parametrize(
    ("where", "count"),
    [("order:platform.null", 90_000), ("ready:platform.null", 5000), ("deadlines", 5000)],
)
def test_many_ghosts_hide_no_job(
    store: LabStore, settings: Settings, where: str, count: int
) -> None:
    """Ghosts before a job are taken out as they are met, however many they are."""
    lab = Bystander(store, settings)
    store.script.redis.zadd(f"edgeprof:{where}", {f"ghost{n}": -n for n in range(count)})

    lab.finish()


@pytest.mark.parametrize("schema", [str(SCHEMA_VERSION + 1), "99", "x", "-1", "1e400"])
def test_many_records_of_another_schema_hide_no_job(
    store: LabStore, settings: Settings, schema: str
) -> None:
    """Newer ones wait apart for an agent that knows them; what is no version fails."""
    lab = Bystander(store, settings)
    newer = [NewJob(make_spec(priority=9)) for _ in range(300)]
    store.jobs.submit(newer, "test")
    for job in newer:
        store.script.redis.hset(f"edgeprof:job:{job.id}", "schema", schema)

    lab.finish()

    known = schema in {str(SCHEMA_VERSION + 1), "99"}
    assert store.jobs.state(newer[0].id) is (JobState.QUEUED if known else JobState.FAILED)


@pytest.mark.parametrize("name", ["boards", "hosts"])
def test_flood_of_announcements_is_listed_in_part(
    store: LabStore, settings: Settings, name: str
) -> None:
    """Nobody's memory holds more than some thousand records of a bounded length."""
    redis = store.script.redis
    until = time.time() + 60
    with redis.pipeline(transaction=False) as pipe:
        for number in range(7000):
            pipe.hset(f"edgeprof:{name}", f"x{number}", "x" * 100)
            pipe.zadd(f"edgeprof:{name}:until", {f"x{number}": until})
        pipe.hset(f"edgeprof:{name}", "x0", "x" * 10**6)
        pipe.execute()

    listed = store.script.call(name)

    assert 500 < len(listed) <= 30_001  # six values a board
    assert max(map(len, listed)) < 1000


def test_flood_of_unreadable_announcements_is_one_line_of_the_log(
    store: LabStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A flood of unreadable announcements is one log line, however often somebody looks."""
    redis = store.script.redis
    for name in ("boards", "hosts"):
        for number in range(1200):
            redis.hset(f"edgeprof:{name}", f"x{number}", f'{{"x": {number}}}')
            redis.zadd(f"edgeprof:{name}:until", {f"x{number}": time.time() + 60})

    for _ in range(3):
        assert store.boards.all() == []
        assert store.hosts.all() == []

    assert len(caplog.records) == 2


def test_flood_of_boards_that_stay_long_hides_no_board_that_announces_itself(
    store: LabStore,
) -> None:
    """One login may announce thousands: what works is listed all the same."""
    store.boards.announce(Owner("h", "d", BOARD.uid), BOARD, 15)
    with store.script.redis.pipeline(transaction=False) as pipe:
        for number in range(6000):
            pipe.hset("edgeprof:boards", f"x{number}", "x")
            pipe.zadd("edgeprof:boards:until", {f"x{number}": time.time() + 600})
        pipe.execute()

    assert [each.device_id for each in store.boards.all()] == ["b"]


def test_platforms_that_come_and_go_are_a_bounded_number_of_series() -> None:
    """A counter's series stays for as long as the scheduler does."""
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    for number in range(1000):
        metrics.platform_known(f"p{number}")

    (jobs,) = (each for each in registry.collect() if each.name == "edgeprof_jobs_finished")
    assert len({sample.labels["platform"] for sample in jobs.samples}) == 65
