"""`python -m tests.chaos.storm`: workers, agents, scheduler and Redis are killed -9 at random.

No job may be lost or done twice, and what a dead worker held runs elsewhere within the lease and 2
s (95th percentile). Exit code 1 when that was not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from rich.progress import Progress

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.queue import doorbell
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.types.job import JobState
from edgeprof.workers.testing.fake_job import TOKEN_S
from tests.chaos import ledger, report
from tests.chaos.big_lab import BigLab
from tests.support.jobs import make_spec
from tests.support.waiting import free_port

#: What is hit how often. A worker is what dies most; an agent takes its boards along.
TARGETS = {"worker": 7, "agent": 1, "scheduler": 1, "redis": 1}


def submit(lab: BigLab, specs: Sequence[Any]) -> list[str]:
    """Submit as a patient client does: the same call again until it returns."""
    jobs = [NewJob(spec) for spec in specs]
    lab.insist(lambda: lab.store.jobs.submit(jobs, "chaos"), "the jobs are submitted")
    doorbells = [
        Doorbell(job.id, job.spec.target.queue, job.traceparent, job.spec.label) for job in jobs
    ]
    with contextlib.suppress(InfrastructureError):  # the custodian notifies
        lab.store.doorbells.notify(doorbells, step=doorbell.transport_priority(5))
    return [job.id for job in jobs]


def run(
    *,
    jobs: int,
    seconds: float,
    hosts: int,
    boards: int,
    lease_s: float,
    pause_s: float,
    seed: int,
    bar: Progress | None = None,
) -> tuple[ledger.Ledger, dict[str, int]]:
    """Submit jobs evenly over `seconds` while something is killed every `pause_s` on average."""
    dice = random.Random(seed)
    blows: dict[str, list[float]] = defaultdict(list)
    kills: Counter[str] = Counter()
    submitted: list[str] = []
    # So long that the boards are busy for most of the time, whatever number of jobs was asked for.
    mean_tokens = 0.6 * hosts * boards * seconds / jobs / TOKEN_S
    task = bar.add_task("jobs finished", total=jobs) if bar else None
    with BigLab(hosts, boards, lease_s=lease_s, port=free_port()) as lab:
        started_s = next_kill_s = time.monotonic()
        while (spent_s := time.monotonic() - started_s) < seconds or len(submitted) < jobs:
            due = min(jobs, 1 + int(jobs * spent_s / seconds)) - len(submitted)
            if due > 0:
                lengths = [max(1, int(dice.uniform(0.2, 1.8) * mean_tokens)) for _ in range(due)]
                submitted += submit(lab, [make_spec(n, max_attempts=20) for n in lengths])
            if time.monotonic() >= next_kill_s and spent_s < seconds:
                next_kill_s = time.monotonic() + dice.expovariate(1 / pause_s)
                kills[_kill(lab, dice, blows)] += 1
            lab.tend()
            _show(bar, task, lab)
            time.sleep(0.05)
        lab.until(
            lambda: _show(bar, task, lab) >= jobs, "all jobs have ended", timeout_s=120 + seconds
        )
        return ledger.read(lab.store.jobs, submitted, blows), dict(kills)


def _kill(lab: BigLab, dice: random.Random, blows: dict[str, list[float]]) -> str:
    kind = dice.choices(list(TARGETS), list(TARGETS.values()))[0]
    host = dice.choice(list(lab.boards))
    if kind == "worker":
        workers = lab.workers(host)
        if not workers:
            return "nobody"
        board = dice.choice(sorted(workers))
        hit, victims = workers[board], [board]
    else:
        hit = lab.pid(host if kind == "agent" else kind)
        victims = lab.boards[host] if kind == "agent" else []
    try:
        os.kill(hit, signal.SIGKILL)
    except ProcessLookupError:
        return "nobody"
    for board in victims:
        blows[board].append(time.time())
    return kind


def finished(lab: BigLab) -> int:
    """Return how many jobs have ended; 0 while Redis is away."""
    try:
        counts = lab.store.jobs.counts()
    except InfrastructureError:
        return 0
    return sum(n for state, n in counts.items() if JobState(state).terminal)


def _show(bar: Progress | None, task: Any, lab: BigLab) -> int:
    ended = finished(lab)
    if bar:
        bar.update(task, completed=ended)
    return ended


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.storm", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--hosts", type=int, default=3)
    parser.add_argument("--boards", type=int, default=4, help="a host")
    parser.add_argument("--lease", type=float, default=5, metavar="SECONDS")
    parser.add_argument(
        "--pause", type=float, default=3, help="seconds between two kills, on average"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with Progress() as bar:
        result, kills = run(
            jobs=options.jobs,
            seconds=options.seconds,
            hosts=options.hosts,
            boards=options.boards,
            lease_s=options.lease,
            pause_s=options.pause,
            seed=options.seed,
            bar=bar,
        )
    limit_s = options.lease + 2
    promises = {
        "0 lost, 0 double": result.kept,
        f"recovery within {limit_s:g} s (p95)": result.recovery_p95_s <= limit_s,
    }
    return report.show(
        "kill -9 storm", {"killed": kills} | result.figures(), promises, options.json
    )


if __name__ == "__main__":
    sys.exit(main())
