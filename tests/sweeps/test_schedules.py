"""Recurring sweeps: when they run, that they run once, and that nothing is lost or hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.client import Lab
from edgeprof.client.scheduled_sweep import PREPARED_WITHIN_S, carry_out
from edgeprof.scheduler.timekeeper import LATE_S, RunEnded
from edgeprof.shared.errors import NotFound, StoreUnavailable, UsageError
from edgeprof.shared.models.catalogue import locate
from edgeprof.shared.types.job import JobState
from tests.support.scheduled_lab import NIGHT_S, SWEEP, TWO, ScheduledLab

#: Two types on two boards.
N_JOBS = 4


@pytest.fixture
def nights(lab: Lab, tmp_path: Path) -> ScheduledLab:
    return ScheduledLab(lab, tmp_path, locate("shakespeare-240k"))


def test_each_night_is_an_ordinary_sweep(nights: ScheduledLab) -> None:
    """A run begins when it is due and not before; its jobs are a sweep with the schedule's tag and
    the user who added it; when they have ended, the run has, and the next one is due."""
    added = nights.add()
    scheduler = nights.scheduler()

    scheduler.tick(TWO - 1)
    assert (added.n_jobs, added.next_s, nights.jobs()) == (N_JOBS, TWO, [])
    for night in range(2):
        due_s = TWO + night * NIGHT_S
        scheduler.tick(due_s)
        scheduler.tick(due_s + 1)
        run = nights.view().open_run
        queued = nights.jobs(JobState.QUEUED)
        assert run is not None
        assert (run.due_s, len(queued)) == (due_s, N_JOBS)
        assert {job.sweep_id for job in queued} == {run.sweep_id}
        assert {job.user for job in queued} == {added.schedule.user}
        assert all(job.inputs and job.inputs.tags == {"schedule": "nightly"} for job in queued)
        scheduler.tick(due_s + 2)
        nights.end_jobs()
        scheduler.tick(due_s + 3)
        assert nights.view().open_run is None
        assert nights.view().next_s == due_s + NIGHT_S

    assert nights.outcomes() == [("succeeded", TWO + NIGHT_S), ("succeeded", TWO)]
    assert len({run.sweep_id for run in nights.view().runs}) == 2
    assert nights.metric("succeeded") == 2


def test_what_runs_is_what_was_added(nights: ScheduledLab) -> None:
    """A schedule runs the file and the models as they were when it was added, though both have
    changed since or are gone, and though this machine's cache is empty; nothing of it runs out."""
    before = nights.lab.submit(nights.model, board="desk-1", n_prompt=4, n_gen=4)
    sha256 = nights.lab.job(before.id).view().model.sha256
    nights.add()
    nights.end_jobs()
    nights.path.unlink()
    nights.model.write_bytes(locate("shakespeare-240k").read_bytes()[:1000])

    scheduler = nights.scheduler()
    scheduler.tick(TWO)
    scheduler.tick(TWO + 1)

    models = {(job.model.name, job.model.sha256) for job in nights.jobs(JobState.QUEUED)}
    assert ("mine", sha256) in models
    assert len(models) == 2  # F32 as it is, and Q8_0 made of it
    redis = nights.lab.store.script.redis
    keys = list(redis.scan_iter("edgeprof:schedule*"))
    assert len(keys) == 5  # all but runs and paused
    assert {redis.ttl(key) for key in keys} == {-1}


def test_two_schedulers_run_it_once(nights: ScheduledLab) -> None:
    """Whatever two schedulers see and do at the same time, one run begins, and its end is told
    once."""
    nights.add()
    one, two = nights.scheduler(), nights.scheduler()

    for scheduler in (one, two, two, one):
        scheduler.tick(TWO)
    assert len(nights.jobs()) == N_JOBS
    nights.end_jobs()
    for scheduler in (one, two):
        scheduler.tick(TWO + 1)

    assert nights.outcomes() == [("succeeded", TWO)]


def test_a_run_is_skipped_while_the_one_before_goes_on(nights: ScheduledLab) -> None:
    """It never runs twice at once: the next one is skipped and told, also one that a person asks
    for; the one after that runs."""
    nights.add()
    scheduler = nights.scheduler()
    scheduler.tick(TWO)
    scheduler.tick(TWO + 1)

    scheduler.tick(TWO + NIGHT_S)
    with pytest.raises(UsageError, match="has not finished"):
        nights.lab.schedules.run("nightly", TWO + NIGHT_S)
    assert nights.outcomes() == [("skipped", TWO + NIGHT_S)]
    assert len(nights.jobs()) == N_JOBS
    nights.end_jobs(well=False)
    scheduler.tick(TWO + NIGHT_S + 1)
    scheduler.tick(TWO + 2 * NIGHT_S)
    scheduler.tick(TWO + 2 * NIGHT_S + 1)

    assert nights.outcomes()[0] == ("failed", TWO)
    assert nights.view().runs[0].reason == "4 of 4 jobs did not succeed"
    assert len(nights.jobs(JobState.QUEUED)) == N_JOBS


@pytest.mark.parametrize(
    ("late_s", "runs", "missed"),
    [(LATE_S, 1, 2), (LATE_S + 1, 0, 3)],
)
def test_missed_nights_are_told(
    nights: ScheduledLab, late_s: float, runs: int, missed: int
) -> None:
    """A scheduler that was down tells what it missed; when the last night is at most an hour ago it
    runs once for all of them, otherwise not at all; the next night is as ever."""
    nights.add()
    last_s = TWO + 2 * NIGHT_S

    nights.scheduler().tick(last_s + late_s)
    nights.scheduler().tick(last_s + late_s + PREPARED_WITHIN_S + 1)

    assert nights.outcomes() == [("missed", TWO + (missed - 1) * NIGHT_S)]
    assert nights.view().runs[0].count == missed
    assert nights.metric("missed") == missed
    assert len(nights.jobs()) == runs * N_JOBS
    assert nights.view().next_s == TWO + 3 * NIGHT_S


def test_a_run_outlives_its_scheduler(nights: ScheduledLab) -> None:
    """A scheduler that dies before it has queued the jobs, or before it has noted them, is followed
    by another one, and each job is queued once."""
    nights.add()
    nights.scheduler(start=lambda _: None).tick(TWO)
    run = nights.view().open_run
    assert run is not None
    carry_out(nights.lab, "nightly", run.model_copy(update={"token": "lost"}), TWO + 2)
    assert len(nights.jobs()) == N_JOBS
    assert nights.view().open_run == run

    other = nights.scheduler()
    other.tick(TWO + 3)
    assert nights.view().open_run == run  # its owner may be at it
    other.tick(TWO + PREPARED_WITHIN_S + 3)
    other.tick(TWO + PREPARED_WITHIN_S + 4)

    assert len(nights.jobs()) == N_JOBS
    nights.end_jobs()
    other.tick(TWO + PREPARED_WITHIN_S + 5)
    assert nights.outcomes() == [("succeeded", TWO)]


def test_a_scheduler_that_is_stopped_leaves_its_run_to_the_next(nights: ScheduledLab) -> None:
    """Who stops a scheduler while it makes the jobs of a run need not wait for its time to be up:
    the next scheduler goes on at once, and what the first one still does changes nothing."""
    nights.add()
    begun: list[Callable[[], None]] = []
    stopped = nights.scheduler(start=begun.append)
    stopped.tick(TWO)
    stopped.tick(TWO + 1)

    stopped.resign()
    nights.pass_night(0)
    begun[0]()

    assert len(nights.jobs()) == N_JOBS
    assert nights.outcomes() == [("succeeded", TWO)]


def test_an_outage_of_redis_is_tried_again(
    nights: ScheduledLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When Redis goes away while the jobs are made, the same scheduler tries again at once."""
    nights.add()
    scheduler = nights.scheduler()

    def away(*_args: object, **_more: object) -> None:
        raise StoreUnavailable("Redis is away")

    with monkeypatch.context() as outage:
        outage.setattr(Lab, "submit_planned", away)
        scheduler.tick(TWO)
        scheduler.tick(TWO + 1)
        assert nights.jobs() == []
    scheduler.tick(TWO + 2)

    assert len(nights.jobs()) == N_JOBS


def test_a_board_that_has_left_is_told(nights: ScheduledLab) -> None:
    """When a board has been taken out of the lab, the others are measured, the run says which is
    missing and counts as failed, and the next night happens; without any board too."""
    nights.add()
    scheduler = nights.scheduler()
    left = ["desk-2"]
    for night in range(2):
        due_s = TWO + night * NIGHT_S
        for board in left:
            nights.lab.store.script.redis.hdel("edgeprof:boards", board)
        for moment_s in (due_s, due_s + 1):
            scheduler.tick(moment_s)
        nights.end_jobs()
        for moment_s in (due_s + 2, due_s + 3):
            scheduler.tick(moment_s)
        left = ["desk-1"]

    last, first = nights.view().runs
    assert nights.outcomes() == [("failed", TWO + NIGHT_S), ("failed", TWO)]
    assert (first.jobs, first.succeeded) == (N_JOBS // 2, N_JOBS // 2)
    assert "no board 'desk-2' in this lab" in first.reason
    assert (last.jobs, "no board 'desk-1'" in last.reason) == (0, True)
    assert nights.view().next_s == TWO + 2 * NIGHT_S


def test_a_tag_that_a_board_has_lost_is_told(nights: ScheduledLab) -> None:
    """A board that has no longer the tags that the sweep requires is left out like one that has
    left."""
    nights.path.write_text(SWEEP + '[require]\nshelf = "2"\n')
    nights.add()
    nights.announce("desk-2", shelf="3")

    nights.pass_night(0)

    (run,) = nights.view().runs
    assert (run.outcome, run.jobs) == ("failed", N_JOBS // 2)
    assert "desk-2" in run.reason
    assert "shelf" in run.reason


@pytest.mark.parametrize(("cron", "wait_s"), [("0 2 * * *", 86340), ("*/30 * * * *", 1740)])
def test_jobs_that_no_board_takes_expire_before_the_next_run(
    nights: ScheduledLab, cron: str, wait_s: float
) -> None:
    """A board that is offline does not keep the next run from happening."""
    nights.add(cron)
    nights.lab.schedules.run("nightly", TWO - NIGHT_S / 2)

    waits = {job.inputs.queue_timeout_s for job in nights.jobs() if job.inputs}
    assert waits == {min(wait_s, NIGHT_S / 2 - 60)}


def test_a_person_runs_pauses_resumes_and_removes_it(nights: ScheduledLab) -> None:
    """A run now is beside the planned ones; a paused schedule has none, and what was due meanwhile
    is not missed; a schedule that was removed leaves its jobs and nothing else."""
    nights.add()
    scheduler = nights.scheduler()
    run = nights.lab.schedules.run("nightly", TWO - 60)
    nights.end_jobs()
    scheduler.tick(TWO - 30)
    assert nights.outcomes() == [("succeeded", TWO - 60)]
    assert (nights.view().runs[0].asked_by, nights.view().next_s) == (run.asked_by, TWO)

    assert nights.lab.schedules.pause("nightly")
    assert not nights.lab.schedules.pause("nightly")
    scheduler.tick(TWO + NIGHT_S)
    assert nights.lab.schedules.resume("nightly", TWO + NIGHT_S + 1)
    assert not nights.lab.schedules.resume("nightly", TWO + 5 * NIGHT_S)
    scheduler.tick(TWO + NIGHT_S + 2)
    assert len(nights.outcomes()) == 1
    assert nights.view().next_s == TWO + 2 * NIGHT_S

    scheduler.tick(TWO + 2 * NIGHT_S)
    nights.lab.schedules.remove("nightly")
    scheduler.tick(TWO + 3 * NIGHT_S)
    assert list(nights.lab.store.script.redis.scan_iter("edgeprof:schedule*")) == []
    assert len(nights.jobs()) == N_JOBS  # a run that had begun was not queued yet
    for action in (nights.lab.schedules.remove, nights.lab.schedules.pause):
        with pytest.raises(NotFound, match="no schedule 'nightly'"):
            action("nightly")


def test_a_listener_that_fails_keeps_nobody(nights: ScheduledLab) -> None:
    """A fault of whoever is told, such as a notification, is logged; the run has ended."""

    def fail(event: RunEnded) -> None:
        raise RuntimeError(event.run.outcome)

    nights.add()
    nights.listeners.insert(0, fail)

    nights.scheduler().tick(TWO + LATE_S * 2)

    assert nights.outcomes() == [("missed", TWO)]


GARBAGE: list[Callable[[ScheduledLab], object]] = [
    lambda nights: nights.lab.store.script.redis.hset("edgeprof:schedules", "bad", "{"),
    lambda nights: nights.lab.store.script.redis.hset("edgeprof:schedules:open", "bad", "[1]"),
    lambda nights: nights.lab.store.script.redis.rpush("edgeprof:schedules:paused", "x"),
    lambda nights: nights.lab.store.script.redis.hset(
        "edgeprof:schedules",
        "bad",
        nights.view().schedule.model_copy(update={"name": "bad", "cron": "x"}).model_dump_json(),
    ),
]


@pytest.mark.parametrize("spoil", GARBAGE)
def test_what_others_wrote_stops_nobody(
    nights: ScheduledLab, spoil: Callable[[ScheduledLab], object]
) -> None:
    """An entry that none of ours wrote is set aside; other schedules are listed and run."""
    nights.add()
    nights.lab.store.script.redis.zadd("edgeprof:schedules:due", {"bad": 0})
    spoil(nights)
    scheduler = nights.scheduler()

    scheduler.tick(TWO)
    scheduler.tick(TWO + 1)

    assert len(nights.jobs()) == N_JOBS
    assert "nightly" in {view.schedule.name for view in nights.lab.schedules.all()}
    assert nights.lab.store.script.redis.zscore("edgeprof:schedules:due", "bad") is None
