"""`python -m tests.chaos.fuzz`: fuzz firmware and host, show progress, print what was done (make
fuzz)."""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.chaos import fuzz_firmware, fuzz_host_run
from tests.chaos.fuzz_firmware import ROOT, Budget, Figures, Tell

WORK = ROOT / "build" / "fuzz"
#: So that all take about as long: a conversation costs more than a file, and the host is Python.
SHARES = {"link": 0.25, "payload": 0.2, "gguf": 0.52, "host": 0.03}
console = Console()


def _run(target: str, budget: Budget, tell: Tell) -> Figures:
    if target == "host":
        return fuzz_host_run.run(WORK / "host", budget, tell)
    return fuzz_firmware.run(target, WORK / target, budget, tell)


def campaign(inputs: int, seconds: int, seed: int) -> list[Figures]:
    """Run all targets side by side."""
    with Progress(
        TextColumn("{task.description:5}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[state]}"), console=console,
    ) as progress, ThreadPoolExecutor(len(SHARES)) as pool:  # fmt: skip
        running = []
        for target, share in SHARES.items():
            budget = Budget(round(inputs * share), seconds, seed)
            task = progress.add_task(target, total=budget.inputs, state="starting")

            def tell(done: int, state: str, task: object = task) -> None:
                progress.update(task, completed=done, state=state)  # type: ignore[arg-type]

            running.append(pool.submit(partial(_run, target, budget, tell)))
        return [each.result() for each in running]


def show(figures: list[Figures], seconds: float) -> None:
    """Print the table."""
    table = Table(
        title=f"{sum(f.inputs for f in figures):,} inputs in {seconds:,.0f} s", title_justify="left"
    )
    for column in ("target", "inputs", "inputs/s", "edges", "features", "corpus", "crashes"):
        table.add_column(column, justify="left" if column == "target" else "right")
    for f in figures:
        rate = f.inputs / f.seconds if f.seconds else 0.0
        counts = (f.inputs, round(rate), f.edges, f.features, f.corpus, len(f.crashes))
        table.add_row(f.target, *(f"{count:,}" for count in counts))
    console.print(table)
    console.print("edges and features: libFuzzer's; of the host: lines run, and ways it ended")
    for f in figures:
        for crash in f.crashes:
            console.print(f"{f.target}: {crash}", markup=False, soft_wrap=True)


def main() -> int:
    """Fuzz; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000_000, help="over all targets")
    parser.add_argument("--seconds", type=int, default=3600, help="at most, for each target")
    parser.add_argument("--seed", type=int, default=1, help="another one goes other ways")
    arguments = parser.parse_args()
    with console.status("building firmware/fuzz"):
        fuzz_firmware.build()
    started = time.monotonic()
    figures = campaign(arguments.inputs, arguments.seconds, arguments.seed)
    seconds = time.monotonic() - started
    show(figures, seconds)
    result = {"seconds": seconds, "targets": [asdict(f) for f in figures]}
    Path(WORK / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    return 1 if any(f.crashes for f in figures) else 0


if __name__ == "__main__":
    sys.exit(main())
