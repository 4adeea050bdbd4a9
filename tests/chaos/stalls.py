"""`python -m tests.chaos.stalls`: workers are stopped (SIGSTOP) past their lease, and go on
(SIGCONT).

Each job has one result, that of another board; what the stopped worker comes back with is refused,
and the refusal is in the job's history. Exit code 1 when that was not so.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import defaultdict

from rich.progress import Progress

from edgeprof.shared.types.job import JobState
from tests.chaos import ledger, report
from tests.chaos.big_lab import BigLab
from tests.chaos.storm import submit
from tests.support.jobs import make_spec
from tests.support.waiting import free_port


def run(*, stalls: int, lease_s: float, bar: Progress | None = None) -> ledger.Ledger:
    """Stall the worker of a running job `stalls` times, one after the other."""
    submitted: list[str] = []
    blows: dict[str, list[float]] = defaultdict(list)
    task = bar.add_task("stalls", total=stalls) if bar else None
    with BigLab(1, 2, lease_s=lease_s, port=free_port()) as lab:
        for _ in range(stalls):
            submitted.append(_stall(lab, blows))
            if bar and task is not None:
                bar.advance(task)
        return ledger.read(lab.store.jobs, submitted, blows)


def _stall(lab: BigLab, blows: dict[str, list[float]]) -> str:
    jobs = lab.store.jobs
    (job_id,) = submit(lab, [make_spec(20, tags={"deaf": "yes"})])
    lab.until(lambda: jobs.state(job_id) is JobState.RUNNING, "the job runs")
    board = jobs.view(job_id).attempts[-1].device_id
    pid = lab.workers("host0")[board]
    os.kill(pid, signal.SIGSTOP)
    blows[board].append(time.time())
    lab.until(lambda: jobs.state(job_id) is JobState.SUCCEEDED, "another board did it")
    os.kill(pid, signal.SIGCONT)
    lab.until(lambda: "refused" in jobs.history(job_id)[-1].reason, "the late result was refused")
    return job_id


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.stalls", description=__doc__)
    parser.add_argument("--stalls", type=int, default=20)
    parser.add_argument("--lease", type=float, default=3, metavar="SECONDS")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    with Progress() as bar:
        result = run(stalls=options.stalls, lease_s=options.lease, bar=bar)
    promises = {
        "0 lost, 0 double": result.kept,
        "every late result refused": result.fenced == options.stalls,
        f"recovery within {options.lease + 2:g} s (p95)": result.recovery_p95_s
        <= options.lease + 2,
    }
    return report.show("Stalled workers", result.figures(), promises, options.json)


if __name__ == "__main__":
    sys.exit(main())
