"""Hosts whose clocks are wrong: no decision compares the clocks of two machines."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.null_lab import Rig

pytestmark = pytest.mark.e2e


def an_hour(sign: str) -> list[str]:
    """Not the command `faketime`: it would stay between us and the worker that we kill."""
    library = next(Path("/usr").glob("lib*/**/faketime/libfaketime.so.1"))
    return ["env", f"LD_PRELOAD={library}", f"FAKETIME={sign}1h"]


def test_hosts_an_hour_early_and_late_share_the_work(
    rig: Rig, make_spec: Callable[..., JobSpec]
) -> None:
    """Hosts whose clocks are an hour wrong stay online and finish jobs in one attempt; all times
    are Redis'."""
    rig.start_scheduler()
    rig.start_worker("01", before=an_hour("+"))
    rig.start_worker("02", before=an_hour("-"))
    for name in ("null-01", "null-02"):
        rig.until_board(name, BoardState.ONLINE)

    jobs = [rig.submit(make_spec(n_gen=50)) for _ in range(8)]
    views = [job.wait(timeout=60) for job in jobs]

    assert [view.state for view in views] == [JobState.SUCCEEDED] * 8
    assert {view.attempts[0].device_id for view in views} == {"null-01", "null-02"}
    assert [len(view.attempts) for view in views] == [1] * 8
    for view in views:
        assert view.started_s is not None
        assert view.finished_s is not None
        times = [view.created_s, view.started_s, view.finished_s]
        assert all(0 <= b - a < 60 for a, b in itertools.pairwise(times))


def test_a_dead_host_with_a_wrong_clock_is_noticed_all_the_same(
    rig: Rig, make_spec: Callable[..., JobSpec]
) -> None:
    """The lease of a dead host with a wrong clock runs out by Redis' clock, and its job ends on the
    other."""
    rig.start_scheduler()
    rig.start_worker("01", before=an_hour("+"))
    rig.until_board("null-01", BoardState.ONLINE)
    job = rig.submit(make_spec(n_gen=200))
    rig.until_running(job)

    rig.workers["null-01"].kill()
    rig.start_workers("02")
    view = job.wait(timeout=60)

    assert view.state is JobState.SUCCEEDED
    assert view.attempts[0].code == "lease_expired"
