"""How equal boards share the work: jobs of each, when all are busy and when all are idle."""

from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence

from edgeprof.shared.types.board import BoardState
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView
from tests.chaos.big_lab import BigLab
from tests.support.jobs import make_spec


def shares(boards: Sequence[str], views: Sequence[JobView]) -> Counter[str]:
    """Return how many attempts each board made at jobs that any board could take."""
    found = Counter(dict.fromkeys(boards, 0))
    found.update(a.device_id for view in views if view.target == "null" for a in view.attempts)
    return found


def one_by_one(
    lab: BigLab, send: Callable[..., str], jobs: int, longest_pause_s: float
) -> Counter[str]:
    """Send a job whenever all boards are idle, after a pause of any length; returns jobs a
    board."""
    boards = [board for boards in lab.boards.values() for board in boards]
    dice = random.Random(1)
    views = []
    for _ in range(jobs):
        time.sleep(dice.uniform(0, longest_pause_s))
        job_id = send(make_spec())
        lab.until(lambda job_id=job_id: _ended(lab, job_id), f"{job_id} has ended")  # type: ignore[misc]
        views.append(lab.store.jobs.view(job_id))
        lab.until(
            lambda: all(board.state is BoardState.ONLINE for board in lab.seen()), "all are idle"
        )
    return shares(boards, views)


def figures(found: Counter[str]) -> dict[str, float]:
    """Return least, mean and most jobs a board, and the least share in percent."""
    counts = list(found.values())
    return {
        "min": min(counts),
        "mean": round(statistics.mean(counts), 1),
        "max": max(counts),
        "least %": round(100 * min(counts) / sum(counts), 1),
    }


def _ended(lab: BigLab, job_id: str) -> bool:
    return JobState(lab.store.jobs.state(job_id)).terminal
