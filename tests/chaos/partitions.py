"""`python -m tests.chaos.partitions`: three hosts and a scheduler, each cut off from the network
and back.

Every machine is a network namespace. No job may be lost or done twice, and what a host that is cut
off held runs elsewhere within the lease and 2 s. Exit code 1 when that was not so. Needs root.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import defaultdict

from rich.progress import Progress

from edgeprof.workers.testing.fake_job import TOKEN_S
from tests.chaos import ledger, report
from tests.chaos.big_lab import BigLab
from tests.chaos.hosts import Network
from tests.chaos.storm import finished, submit
from tests.support.jobs import make_spec
from tests.support.waiting import free_port

HOSTS = ("host0", "host1", "host2", "scheduler")


def run(
    *, rounds: int, boards: int, lease_s: float, seed: int, bar: Progress | None = None
) -> ledger.Ledger:
    """Cut off each machine in turn, `rounds` times, for longer than a lease, while all boards are
    busy."""
    dice = random.Random(seed)
    blows: dict[str, list[float]] = defaultdict(list)
    submitted: list[str] = []
    cut_s = 1.5 * lease_s
    total = rounds * len(HOSTS)
    task = bar.add_task("partitions", total=total) if bar else None
    with (
        Network(HOSTS) as network,
        BigLab(
            len(HOSTS) - 1,
            boards,
            lease_s=lease_s,
            address=network.address,
            port=free_port(),
            inside=network.inside,
        ) as lab,
    ):
        # Half a lease each, and a third more than the boards can do while nothing is cut.
        n_jobs = int(4 * total * boards * len(HOSTS))
        specs = [
            make_spec(int(dice.uniform(0.3, 0.7) * lease_s / TOKEN_S), max_attempts=20)
            for _ in range(n_jobs)
        ]
        submitted += submit(lab, specs)
        for host in HOSTS * rounds:
            network.cut(host)
            for board in lab.boards.get(host, ()):
                blows[board].append(time.time())
            _let_pass(cut_s)
            network.heal(host)
            _let_pass(lease_s)
            if bar and task is not None:
                bar.advance(task)
        lab.until(lambda: finished(lab) >= n_jobs, "all jobs have ended", timeout_s=600)
        return ledger.read(lab.store.jobs, submitted, blows)


def _let_pass(seconds: float) -> None:
    """A partition has a length, and nothing to wait for."""
    time.sleep(seconds)


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.partitions", description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--boards", type=int, default=2, help="a host")
    parser.add_argument("--lease", type=float, default=5, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if os.geteuid() != 0:
        return report.not_run("Partitions", "network namespaces need root")
    with Progress() as bar:
        result = run(
            rounds=options.rounds,
            boards=options.boards,
            lease_s=options.lease,
            seed=options.seed,
            bar=bar,
        )
    limit_s = options.lease + 2
    figures = {"partitions": options.rounds * len(HOSTS)} | result.figures()
    promises = {
        "0 lost, 0 double": result.kept,
        f"recovery within {limit_s:g} s (p95)": result.recovery_p95_s <= limit_s,
    }
    return report.show("Partitions", figures, promises, options.json)


if __name__ == "__main__":
    sys.exit(main())
