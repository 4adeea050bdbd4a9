"""A lab with two boards, jobs in several states, and its pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import Owner
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.types.job import JobState
from tests.support.board_infos import numbered_board
from tests.support.finished_job import finished_job
from tests.support.jobs import make_spec
from tests.support.reports import several
from tests.support.served_site import ServedSite, serve_site


def fill(site: ServedSite) -> None:
    """Announce boards, queue two jobs, archive a sweep of which one job failed."""
    for number in (1, 2):
        board = numbered_board(number)
        site.store.boards.announce(Owner("h", "d", board.uid), board, 600)
    site.store.reservations.reserve("native-2", "ada", 3600, "new kernel")
    jobs = [NewJob(make_spec(user="ada", sweep_id="night-2"), id=f"open{i}") for i in (1, 2)]
    site.store.jobs.submit(jobs, "test")
    failed = finished_job(
        "failed1", state=JobState.FAILED, reason="does not fit", sweep_id="night-1"
    )
    measured = [view.model_copy(update={"sweep_id": "night-1"}) for view in several()]
    site.archive.save([*measured, failed])


@pytest.fixture
def site(settings: Settings) -> Iterator[ServedSite]:
    with serve_site(settings) as served:
        fill(served)
        yield served
