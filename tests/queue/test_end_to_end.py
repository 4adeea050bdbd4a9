"""The queue with real Celery workers in real processes (the boards are imaginary)."""

from __future__ import annotations

import itertools
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e


def test_job_comes_back_with_its_result(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A submitted job is measured once, on the platform's board, in the trace it was submitted
    in."""
    rig.start_workers("01")

    job = rig.submit(make_spec(n_gen=3))
    view = job.wait(timeout=60)

    assert view.state == JobState.SUCCEEDED
    assert view.result is not None
    assert view.result.cases[0].tokens == (0, 1, 2)
    assert view.result.identity.device_id == "null-01"
    assert view.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert [line.after for line in job.history()] == ["queued", "running", "succeeded"]


def test_platform_jobs_spread(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """Jobs for a platform are shared by all its boards, and each board has one at a time."""
    rig.start_workers("01", "02")

    jobs = [rig.submit(make_spec(n_gen=10)) for _ in range(6)]
    views = [job.wait(timeout=30) for job in jobs]

    used = Counter(view.attempts[0].device_id for view in views)
    assert {"null-01", "null-02"} == set(used)
    for board in used:
        spans = sorted(
            (attempt.started_s, attempt.ended_s)
            for attempt in (view.attempts[0] for view in views)
            if attempt.device_id == board
        )
        assert all(
            end is not None and end <= start for (_, end), (start, _) in itertools.pairwise(spans)
        )


def test_killed_worker_costs_seconds(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """kill -9 of a board worker mid-job: the job finishes on the other board after lease + 2 s."""
    rig.start_scheduler()
    rig.start_workers("01", "02")
    job = rig.submit(make_spec(n_gen=200))
    victim = rig.until_running(job)

    rig.workers[victim].kill()
    killed_s = time.time()
    view = job.wait(timeout=30)

    first, second = view.attempts
    assert view.state == JobState.SUCCEEDED
    assert (first.fault_class, first.code) == ("host", "lease_expired")
    assert victim != second.device_id
    assert second.started_s - killed_s < rig.settings.lease_s + 2


def test_restarted_worker_gives_back_at_once(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A worker that takes over a dead one's lock returns its job without waiting for the lease."""
    rig.settings = rig.settings.model_copy(update={"lease_s": 60.0})
    rig.start_scheduler()
    rig.start_workers("01")
    job = rig.submit(make_spec(n_gen=200, board="null-01"))
    rig.until_running(job)

    rig.workers["null-01"].kill()
    rig.workers["null-01"].wait()
    rig.start_worker("01")
    view = job.wait(timeout=30)

    assert view.state == JobState.SUCCEEDED
    assert view.attempts[0].code == "worker_died"


def test_lost_doorbell_is_sent_again(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A job whose doorbell never reached the transport is sent by the custodian."""
    rig.start_workers("01")
    job = rig.submit(make_spec(), notify=False)

    rig.start_scheduler()

    assert job.wait(timeout=60).state == JobState.SUCCEEDED


def test_duplicate_doorbells_do_nothing(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A job is run once, however many doorbells are sent for it."""
    rig.start_workers("01", "02")
    spec = make_spec(n_gen=10)
    job = rig.submit(spec)
    for _ in range(20):
        rig.notify(job.id, spec)

    view = job.wait(timeout=60)
    rig.wait_until(
        lambda: rig.store.doorbells.waiting("platform.null") == 0, "all doorbells are received"
    )

    assert len(view.attempts) == 1
    assert job.status == JobState.SUCCEEDED


def test_infrastructure_fault_is_retried_elsewhere_and_shown(
    rig: Rig, make_spec: Callable[..., JobSpec]
) -> None:
    """A link fault goes to another board of the platform; the failed attempt stays on the
    record."""
    rig.start_scheduler()
    rig.start_workers("01", "02")

    view = rig.submit(make_spec(tags={"fault": "link", "faults": "1"})).wait(timeout=30)

    first, second = view.attempts
    assert view.state == JobState.SUCCEEDED
    assert (first.fault_class, first.code) == ("link", "test")
    assert first.device_id != second.device_id


def test_attempts_are_capped(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A job that keeps failing is given up after its last attempt, and listed as a dead letter."""
    rig.start_scheduler()
    rig.start_workers("01")

    job = rig.submit(make_spec(tags={"fault": "host", "faults": "9"}, max_attempts=2))
    view = job.wait(timeout=30)

    assert view.state == JobState.FAILED
    assert len(view.attempts) == 2
    assert "gave up after 2 attempts" in view.reason
    assert [job.id] == rig.store.jobs.dead_letters()


def test_running_job_is_cancelled_within_seconds(
    rig: Rig, make_spec: Callable[..., JobSpec]
) -> None:
    """Cancelling a running job stops the board between two tokens; the next job finds it free."""
    rig.start_workers("01")
    job = rig.submit(make_spec(n_gen=4000))
    rig.until_running(job)

    job.cancel("not needed any more", actor="somebody")
    view = job.wait(timeout=60)

    assert view.state == JobState.CANCELLED
    assert view.reason == "not needed any more"
    assert rig.submit(make_spec()).wait(timeout=60).state == JobState.SUCCEEDED


def test_job_timeout_ends_the_job_for_good(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """A job that takes longer than its own timeout fails without another attempt."""
    rig.start_workers("01")

    view = rig.submit(make_spec(n_gen=4000, timeout_s=0.5)).wait(timeout=60)

    assert view.state == JobState.FAILED
    assert (view.attempts[0].fault_class, view.attempts[0].code) == ("job", "timeout")


def test_stopped_worker_hands_its_job_back(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """SIGTERM: after the grace the job goes back to the queue, and another board finishes it."""
    rig.start_scheduler()
    rig.start_workers("01", "02")
    job = rig.submit(make_spec(n_gen=300))
    leaving = rig.until_running(job)

    rig.workers[leaving].send_signal(signal.SIGTERM)
    view = job.wait(timeout=30)

    assert rig.workers[leaving].wait(60) == 0
    assert view.state == JobState.SUCCEEDED
    assert view.attempts[0].code == "worker_stopped"
    rig.until_board(leaving, BoardState.OFFLINE)


def test_second_agent_for_a_board_is_refused(
    rig: Rig, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two hosts that name the same silicon: the first keeps it, the second says who has it."""
    rig.start_workers("01")
    pid = rig.workers["null-01"].pid

    rig.start_worker("01", lock_dir=tmp_path / "other-locks", host="otherhost")
    said = ""

    def refused() -> bool:
        nonlocal said
        said += capfd.readouterr().err
        return f"already driven by process {pid} on host testhost" in said

    rig.wait_until(refused, "the second worker is refused")
    assert rig.store.boards.all()[0].host == "testhost"


def test_absent_board_is_waited_for(
    rig: Rig, tmp_path: Path, make_spec: Callable[..., JobSpec]
) -> None:
    """A board that is not there at start is no error; its jobs wait for it."""
    present = tmp_path / "plugged-in"
    rig.start_worker("01", f"&present={present}")
    job = rig.submit(make_spec())

    present.touch()

    assert job.wait(timeout=30).state == JobState.SUCCEEDED


def test_unplugged_board_goes_offline_and_its_worker_ends(rig: Rig, tmp_path: Path) -> None:
    """An idle board that stops answering is announced offline; the worker's exit asks for a
    restart."""
    present = tmp_path / "plugged-in"
    present.touch()
    worker = rig.start_worker("01", f"&present={present}")
    rig.until_board("null-01", BoardState.ONLINE)

    present.unlink()

    assert worker.wait(60) == 75
    rig.until_board("null-01", BoardState.OFFLINE)
    assert rig.store.boards.all()[0].reason.startswith("the board does not answer: ")


def test_scheduler_restart_loses_nothing(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """Custodians come and go; what they had to do is in the store, not in them."""
    end = rig.start_scheduler()
    rig.start_workers("01", "02")
    job = rig.submit(make_spec(n_gen=200))
    rig.workers[rig.until_running(job)].kill()

    end()
    rig.start_scheduler()

    assert job.wait(timeout=30).state == JobState.SUCCEEDED
