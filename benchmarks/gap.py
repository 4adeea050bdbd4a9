"""How long a board is idle between two queued jobs: from attempt to attempt, by Redis' clock."""

from __future__ import annotations

import itertools
import statistics

from benchmarks.harness import Result, agent, private_settings
from edgeprof.client import Lab
from edgeprof.client.request import Request

NAME = "gap"


def measure(*, quick: bool) -> Result:
    """Queue many short jobs for one native board."""
    n = 10 if quick else 40
    with (
        private_settings() as settings,
        agent(settings, ["native://?uid=01"]),
        Lab(settings=settings) as lab,
    ):
        request = Request(
            model="shakespeare-240k",
            platform="native",
            n_prompt=4,
            n_gen=4,
            repetitions=1,
            warmup=0,
        )
        views = [job.wait(timeout=120) for job in lab.submit_many([request] * n)]
    attempts = sorted((v.attempts[-1] for v in views), key=lambda a: a.started_s)
    gaps_ms = sorted(
        1000 * (after.started_s - before.ended_s)
        for before, after in itertools.pairwise(attempts)
        if before.ended_s is not None
    )
    row = {
        "jobs": n,
        "p50 ms": round(statistics.median(gaps_ms), 2),
        "p95 ms": round(gaps_ms[int(0.95 * (len(gaps_ms) - 1))], 2),
        "max ms": round(gaps_ms[-1], 2),
    }
    return Result(NAME, "Board idle between two queued jobs", [row])
