"""`python -m tests.chaos.soak`: two hours of small jobs, and more, as fast as they go; nothing may
grow.

A lab in use does a small job a second, 7200 in two hours. Here 30 000 run: a leak of 200 bytes a
job is then above what memory does by itself, in each worker too, which sees a share of them only.
Jobs are of several priorities, users and kinds; some fail, some are cancelled, some are for boards
that never come; some are watched; metrics are scraped. Archived jobs leave Redis after seconds
instead of days. Exit code 1 when something grew, or a job was lost, done twice, or ended otherwise
than it should have.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

from tests.chaos import report, soak_run, soak_verdict
from tests.chaos.soak_plot import plot


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--jobs", type=int, default=30_000)
    parser.add_argument("--laps", type=int, default=10, help="the first fifth is the warm-up")
    parser.add_argument("--hosts", type=int, default=2)
    parser.add_argument("--boards", type=int, default=2, help="a host")
    parser.add_argument("--single", type=int, default=100, help="jobs that find all boards idle")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG of memory and keys")
    options = parser.parse_args()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as bar:
        task = bar.add_task("jobs submitted", total=options.jobs)
        seen = soak_run.run(
            jobs=options.jobs,
            laps=options.laps,
            hosts=options.hosts,
            boards=options.boards,
            single=options.single,
            seed=options.seed,
            advance=lambda jobs: bar.advance(task, jobs),
        )
    if options.plot:
        plot(seen, options.plot)
    for line in seen.odd:
        Console(stderr=True).print(line)
    return report.show(
        "Soak", soak_verdict.figures(seen), soak_verdict.promises(seen), options.json
    )


if __name__ == "__main__":
    sys.exit(main())
