"""Redis away: at submit, while a client waits, while a board works."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edgeprof.scheduler.job import Job
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.jobs import BoardState, JobState
from edgeprof.shared.store.jobs import NewJob

pytestmark = pytest.mark.e2e


@pytest.fixture
def fragile(rig: Any, redis_process: Any) -> Iterator[Any]:
    """A rig on a Redis of its own, that the test may take away."""
    redis_process.start()
    rig.store.close()
    own = type(rig)(
        rig.settings.model_copy(update={"redis_url": redis_process.url}), rig.wait_until
    )
    own.redis = redis_process
    yield own
    own.close()


def test_submit_without_redis_is_one_clear_error(fragile: Any, make_spec: Any) -> None:
    """Nothing half-done: the error names the URL, and afterwards no job is there."""
    job = NewJob(make_spec())
    fragile.redis.stop()

    with pytest.raises(StoreUnavailable, match=str(fragile.redis.port)):
        fragile.store.jobs.submit([job], "test")

    fragile.redis.start()
    assert fragile.store.jobs.ids() == []


def test_waiting_client_sees_an_outage_through(
    fragile: Any, make_spec: Any, caplog: pytest.LogCaptureFixture
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
    with caplog.at_level(logging.WARNING, "edgeprof.scheduler.job"):
        list(events)
    back.join()

    assert job.status == JobState.SUCCEEDED
    notices = [r.getMessage() for r in caplog.records if r.name == "edgeprof.scheduler.job"]
    assert len(notices) == 2


def test_waiting_client_gives_up_in_the_end(fragile: Any, make_spec: Any) -> None:
    """Past its patience the client leaves with StoreUnavailable, and says the job goes on."""
    job = fragile.submit(make_spec())
    hasty = Job(job.id, fragile.store, patience_s=0.5)
    fragile.redis.stop()

    with pytest.raises(StoreUnavailable, match="gave up waiting"):
        hasty.wait()


def test_worker_survives_an_outage_shorter_than_the_lease(fragile: Any, make_spec: Any) -> None:
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


def test_worker_started_without_redis_waits_for_it(fragile: Any, make_spec: Any) -> None:
    """A board worker may come up before Redis does."""
    fragile.redis.stop()
    fragile.start_worker("01")
    fragile.redis.start()

    fragile.until_board("null-01", BoardState.ONLINE)
    assert fragile.submit(make_spec()).wait(timeout=20).state == JobState.SUCCEEDED
