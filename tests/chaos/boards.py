"""`python -m tests.chaos.boards`: boards that are pulled in the middle of a job, and boards that
are sick.

A pulled board's job must succeed once. A sickness must get its class and code. Exit code 1 if one
did not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from tests.chaos.pulls import Pull, pull_boards
from tests.chaos.sick_boards import SICKNESSES, Diagnosis, diagnose


def summary(pulls: Sequence[Pull]) -> dict[str, Any]:
    """Figures of all pulls."""
    busy = [p for p in pulls if p.moment != "idle"]
    return {
        "pulls": len(busy),
        "pulls of an idle board": len(pulls) - len(busy),
        "lost": sum(p.successes == 0 for p in busy),
        "double": sum(p.successes > 1 or p.ends > 1 for p in busy),
        "not as promised": sum(not p.kept for p in busy),
        "moments": dict(Counter(p.moment for p in busy)),
        "faults": dict(Counter(fault for p in busy for fault in p.faults)),
        "pull to offline, busy": _times([p.offline_s for p in busy]),
        "pull to offline, idle": _times([p.offline_s for p in pulls if p.moment == "idle"]),
        "pull to running again": _times([p.again_s for p in busy if p.again_s is not None]),
        "plugged in to running again": _times(
            [p.replugged_s for p in busy if p.replugged_s is not None]
        ),
    }


def _times(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "median s": round(statistics.median(ordered), 3),
        "p95 s": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
        "max s": round(ordered[-1], 3),
    }


def _print(figures: dict[str, Any], diagnoses: Sequence[Diagnosis]) -> None:
    table = Table("Boards pulled in the middle of a job", "", show_header=True)
    for name, value in figures.items():
        shown = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        table.add_row(name, str(shown))
    Console().print(table)
    table = Table("A board that", "ends in", "as promised")
    for d in diagnoses:
        table.add_row(d.sickness, f"{d.state}: {', '.join(d.attempts)}", "yes" if d.kept else "NO")
    Console().print(table)


def main() -> int:
    """Run both campaigns; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.boards", description=__doc__)
    parser.add_argument(
        "--pulls", type=int, default=100, help="from a job; a quarter more when idle"
    )
    parser.add_argument("--boards", type=int, default=2, help="boards pulled in parallel")
    parser.add_argument("--offline-limit", type=float, default=2.0, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as bar:
        task = bar.add_task("pulls", total=options.pulls)
        pulls = pull_boards(
            options.pulls,
            boards=options.boards,
            seed=options.seed,
            on_pull=lambda: bar.advance(task),
        )
        task = bar.add_task("sick boards", total=len(SICKNESSES))
        diagnoses = diagnose(on_job=lambda: bar.advance(task))
    figures = summary(pulls)
    _print(figures, diagnoses)
    if options.json:
        rows = {"pulled": figures, "pulls": [asdict(p) for p in pulls]}
        sick = {"sick": [asdict(d) for d in diagnoses]}
        options.json.write_text(json.dumps(rows | sick, indent=2) + "\n")
    late = [p for p in pulls if p.offline_s > options.offline_limit]
    kept = all(p.kept for p in pulls) and all(d.kept for d in diagnoses) and not late
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
