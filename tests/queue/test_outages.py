"""Redis away: at submit, while a client waits, while a board works."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from edgeprof.client.job import Job
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.null_lab import Rig
from tests.support.redis_process import RedisProcess

pytestmark = pytest.mark.e2e


class FragileRig(Rig):
    """A rig on a Redis of its own, which the test may stop and configure."""

    def __init__(self, rig: Rig, redis: RedisProcess) -> None:
        super().__init__(rig.settings.model_copy(update={"redis_url": redis.url}), rig.wait_until)
        self.redis = redis

    def configure(self, options: dict[str, str]) -> None:
        for name, value in options.items():
            self.store.script.redis.config_set(name, value)


@pytest.fixture
def fragile(rig: Rig, redis_process: RedisProcess) -> Iterator[FragileRig]:
    """A rig whose Redis runs until the test stops it."""
    redis_process.start()
    rig.store.close()
    own = FragileRig(rig, redis_process)
    yield own
    own.close()


def test_submit_without_redis_is_one_clear_error(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """Nothing half-done: the error names the URL, and afterwards no job is there."""
    job = NewJob(make_spec())
    fragile.redis.stop()

    with pytest.raises(StoreUnavailable, match=str(fragile.redis.port)):
        fragile.store.jobs.submit([job], "test")

    fragile.redis.start()
    assert fragile.store.jobs.ids() == []


def test_waiting_client_sees_an_outage_through(
    fragile: FragileRig, make_spec: Callable[..., JobSpec], caplog: pytest.LogCaptureFixture
) -> None:
    """One notice when Redis goes, one when it is back, and the job's end in between or after."""
    fragile.start_scheduler()
    fragile.start_workers("01")
    job = fragile.submit(make_spec(n_gen=100))
    fragile.until_running(job)

    events = job.events()
    next(events)
    fragile.redis.stop()

    back = threading.Timer(1.0, fragile.redis.start)
    back.start()
    with caplog.at_level(logging.WARNING, "edgeprof.client.job"):
        list(events)
    back.join()

    assert job.status == JobState.SUCCEEDED
    notices = [r.getMessage() for r in caplog.records if r.name == "edgeprof.client.job"]
    assert len(notices) == 2


def test_waiting_client_gives_up_in_the_end(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """Past its patience the client leaves with StoreUnavailable, and says the job goes on."""
    job = fragile.submit(make_spec())
    hasty = Job(job.id, fragile.store, patience_s=0.5)
    fragile.redis.stop()

    with pytest.raises(StoreUnavailable, match="gave up waiting"):
        hasty.wait()


def test_worker_survives_an_outage_shorter_than_the_lease(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """A board goes on measuring through a short outage, and its result is the first attempt's."""
    fragile.settings = fragile.settings.model_copy(update={"lease_s": 20.0})
    fragile.start_workers("01")
    job = fragile.submit(make_spec(n_gen=100))
    fragile.until_running(job)

    fragile.redis.stop()
    fragile.redis.start()
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert len(view.attempts) == 1


def past_the_lease(rig: Rig) -> None:
    """Wait until a lease of this lab has run out twice over."""
    over_s = time.monotonic() + 2 * rig.settings.lease_s
    rig.wait_until(lambda: time.monotonic() > over_s, "the lease is over")


def test_measurement_outlives_an_outage_longer_than_the_lease(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """Nobody could have been given the job while Redis was down, so the board goes on measuring."""
    fragile.start_scheduler()
    fragile.start_workers("01", "02")
    job = fragile.submit(make_spec(n_gen=400))
    fragile.until_running(job)

    fragile.redis.stop()
    past_the_lease(fragile)
    fragile.redis.start()
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert len(view.attempts) == 1


def kept_results(rig: Rig) -> list[Any]:
    return list((rig.settings.data_dir / "undelivered").glob("*.json"))


def test_result_is_kept_on_disk_until_redis_is_back(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """A result on disk is delivered by the next worker if the one that measured it is killed."""
    fragile.start_scheduler()
    fragile.start_workers("01")
    job = fragile.submit(make_spec(n_gen=50))
    fragile.until_running(job)
    fragile.redis.stop()
    fragile.wait_until(lambda: kept_results(fragile), "the result is on disk")
    fragile.workers["null-01"].kill()
    fragile.start_worker("01")
    fragile.wait_until(
        lambda: any("waiting: Redis" in p.read_text() for p in logs_of(fragile)),
        "the next worker waits for Redis",
    )
    past_the_lease(fragile)

    fragile.redis.start()
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert len(view.attempts) == 1
    fragile.wait_until(lambda: not kept_results(fragile), "the result has left the disk")


@pytest.mark.parametrize(
    ("breaks", "mends"),
    [
        ({"maxmemory": "1"}, {"maxmemory": "0"}),
        ({"min-replicas-to-write": "1"}, {"min-replicas-to-write": "0"}),
    ],
    ids=["full", "no replicas"],
)
def test_measurement_outlives_a_redis_that_cannot_write(
    fragile: FragileRig,
    make_spec: Callable[..., JobSpec],
    breaks: dict[str, str],
    mends: dict[str, str],
) -> None:
    """Full for longer than the lease: the result is the first attempt's all the same."""
    fragile.start_scheduler()
    fragile.start_workers("01", "02")
    job = fragile.submit(make_spec(n_gen=50))
    fragile.until_running(job)

    fragile.configure(breaks)
    fragile.wait_until(lambda: kept_results(fragile), "the result is on disk")
    past_the_lease(fragile)
    fragile.configure(mends)
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert len(view.attempts) == 1


def test_read_only_redis_costs_no_measurement(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """A Redis that is read-only, as after a mistaken REPLICAOF, costs no measurement."""
    fragile.start_scheduler()
    fragile.start_workers("01")
    job = fragile.submit(make_spec(n_gen=50))
    fragile.until_running(job)

    fragile.store.script.redis.replicaof("127.0.0.1", "1")
    fragile.wait_until(lambda: kept_results(fragile), "the result is on disk")
    past_the_lease(fragile)
    fragile.store.script.redis.replicaof("NO", "ONE")
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert len(view.attempts) == 1


def test_worker_with_a_wrong_password_waits_and_says_so(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """A worker with a wrong password waits without a restart, and takes jobs once it is let in; no
    log has the password."""
    redis = fragile.store.script.redis
    redis.config_set("requirepass", "right")
    fragile.start_worker("01", redis_url=fragile.redis.url.replace("//", "//:wrong@"))
    fragile.wait_until(
        lambda: any("refused the login" in p.read_text() for p in logs_of(fragile)),
        "the worker tells that its login is refused",
    )
    redis.execute_command("AUTH", "right")
    redis.config_set("requirepass", "")

    fragile.until_board("null-01", BoardState.ONLINE)
    assert not any("wrong@" in p.read_text() for p in logs_of(fragile))


def logs_of(rig: Rig) -> list[Any]:
    folder = rig.settings.log_dir
    return list(folder.iterdir()) if folder.is_dir() else []


def test_worker_started_without_redis_waits_for_it(
    fragile: FragileRig, make_spec: Callable[..., JobSpec]
) -> None:
    """A board worker may come up before Redis does."""
    fragile.redis.stop()
    fragile.start_worker("01")
    fragile.redis.start()

    fragile.until_board("null-01", BoardState.ONLINE)
    assert fragile.submit(make_spec()).wait(timeout=60).state == JobState.SUCCEEDED
