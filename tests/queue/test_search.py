"""Jobs found and cancelled by what they are, while others come, start and end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from edgeprof.client import Lab
from edgeprof.shared.errors import BoardFault
from edgeprof.shared.settings import Settings
from edgeprof.shared.store import search
from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import Cancelled, JobFilter, JobSearch
from edgeprof.shared.types.job import JobSpec, JobState

MakeSpec = Callable[..., JobSpec]


@pytest.fixture
def lab(settings: Settings) -> Any:
    with Lab(settings=settings) as opened:
        yield opened


@pytest.fixture(autouse=True)
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so short that every search turns some."""
    monkeypatch.setattr(search, "PAGE", 3)


def submit(store: LabStore, specs: Sequence[JobSpec]) -> list[str]:
    jobs = [NewJob(spec) for spec in specs]
    store.jobs.submit(jobs, "test")
    return [job.id for job in jobs]


def claim(store: LabStore, notified_job_id: str, board: str) -> Claim:
    held = store.jobs.claim(
        notified_job_id,
        board,
        device_id=board,
        platform="null",
        host="h",
        lock_domain="d",
        lease_s=60,
    )
    assert isinstance(held, Claim)
    return held


def ids(lab: Lab, **asked: Any) -> set[str]:
    where = JobFilter(**{name: asked.pop(name) for name in list(asked) if name in _FIELDS})
    return {view.id for view in lab.jobs(where=where, **asked)}


_FIELDS = ("user", "board", "sweep_id")


def test_filters_are_all_met(lab: Lab, make_spec: MakeSpec) -> None:
    """A job is listed when it meets every filter, and the state, that was given."""
    combinations = [(user, sweep) for user in ("anna", "ben") for sweep in (None, "s-1")]
    specs = [make_spec(user=user, sweep_id=sweep) for user, sweep in combinations]
    names = dict(zip(combinations, submit(lab.store, specs), strict=True))
    lab.job(names["ben", "s-1"]).cancel()

    assert ids(lab, user="anna") == {names["anna", None], names["anna", "s-1"]}
    assert ids(lab, sweep_id="s-1") == {names["anna", "s-1"], names["ben", "s-1"]}
    assert ids(lab, user="ben", sweep_id="s-1", state="cancelled") == {names["ben", "s-1"]}
    assert ids(lab, user="ben", sweep_id="s-1", state="queued") == set()
    assert ids(lab, user="") == set()


def test_board_means_for_it_or_tried_on_it(lab: Lab, make_spec: MakeSpec) -> None:
    """A job that failed on one board and then ran on another is found by either."""
    (moved,) = submit(lab.store, [make_spec()])
    meant, other = submit(lab.store, [make_spec(board="a"), make_spec(board="c")])
    first = claim(lab.store, moved, "a")
    lab.store.jobs.fail(moved, first.epoch, BoardFault("rebooted"))
    claim(lab.store, moved, "b")

    assert ids(lab, board="a") == {moved, meant}
    assert ids(lab, board="b") == {moved}
    assert ids(lab, board="c") == {other}
    assert ids(lab, board="a", state="running") == {moved}


def test_limit_counts_matches(lab: Lab, make_spec: MakeSpec) -> None:
    """--limit N gives the newest N that match, however many others are newer."""
    mine = [submit(lab.store, [make_spec(user="me")])[0] for _ in range(5)]
    submit(lab.store, [make_spec(user="crowd") for _ in range(20)])

    found = [view.id for view in lab.jobs(limit=3, where=JobFilter(user="me"))]

    assert found == mine[:1:-1]


def test_dead_letters_are_filtered_too(lab: Lab, make_spec: MakeSpec) -> None:
    """--dead and a filter are both met."""
    for user in ("anna", "ben"):
        (job_id,) = submit(lab.store, [make_spec(user=user, max_attempts=1)])
        lab.store.jobs.fail(job_id, claim(lab.store, job_id, "a").epoch, BoardFault("rebooted"))

    assert [view.user for view in lab.dead_letters(where=JobFilter(user="ben"))] == ["ben"]


def test_cancel_leaves_others_alone(lab: Lab, make_spec: MakeSpec) -> None:
    """Cancelling a sweep ends its queued jobs, asks its running ones, and touches no other job."""
    swept = submit(lab.store, [make_spec(sweep_id="s-1") for _ in range(10)])
    others = submit(lab.store, [make_spec() for _ in range(10)])
    held = claim(lab.store, swept[0], "a")

    assert lab.cancel_open(JobFilter(sweep_id="s-1")) == Cancelled(9, 1)

    assert {lab.job(job_id).status for job_id in others} == {JobState.QUEUED}
    assert lab.store.jobs.renew(held.job_id, held.epoch, 60) == "cancel"
    assert lab.count_open(JobFilter(sweep_id="s-1")) == 1


def test_cancel_all_passes_over_damage(lab: Lab, make_spec: MakeSpec) -> None:
    """An entry without a job, and one whose key is no job, cost no other job its cancelling."""
    submit(lab.store, [make_spec() for _ in range(10)])
    redis = lab.store.script.redis
    redis.zadd("edgeprof:jobs:queued", {"ghost": 5e9, "text": 6e9, "after": 1})
    redis.set("edgeprof:job:text", "no job")
    redis.zadd("edgeprof:jobs", {"ghost": 6e9})

    assert lab.cancel_open() == Cancelled(10, 0)
    assert ids(lab, user="me") == set()


def test_nothing_is_skipped_when_jobs_leave(lab: Lab, make_spec: MakeSpec) -> None:
    """Jobs that leave the index between two pages hide no other job, and new ones repeat none."""
    names = [submit(lab.store, [make_spec()])[0] for _ in range(12)]
    pages = JobSearch(lab.store.script)._pages("jobs:queued")

    seen = [job_id for job_id, _ in next(pages)]
    for job_id in names[7:]:
        lab.job(job_id).cancel()
    submit(lab.store, [make_spec() for _ in range(5)])
    seen += [job_id for page in pages for job_id, _ in page]

    assert seen == [*names[:8:-1], *names[6::-1]]


def test_memory_is_bounded(lab: Lab, make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of a search or a cancel does not grow with the jobs in the store."""
    monkeypatch.setattr(search, "PAGE", 200)
    submit(lab.store, [make_spec(user="crowd", sweep_id="s-1") for _ in range(6000)])
    where = JobFilter(user="nobody", sweep_id="s-1")
    ids(lab, user="nobody")  # what is kept once, is
    tracemalloc.start()
    try:
        assert lab.count_open(where) == 0
        assert lab.cancel_open(JobFilter(sweep_id="s-1")).cancelled == 6000
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 2_000_000  # 6000 records are more than 6 MB
