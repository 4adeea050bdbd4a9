"""`python -m tests.chaos.noise`: noise on the line between host and firmware, and no wrong number.

Each run gives exactly what the clean line gave, or a link or board fault. Exit code 1 when one did
not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from tests.chaos.noise_lap import Tally, Truth, laps, learn, make_models
from tests.chaos.noise_plot import plot

_LAPS_A_TASK = 2


def campaign(
    frames: int,
    rates: Sequence[float],
    *,
    lanes: int,
    line_rate: int,
    seed: int = 1,
    on_frames: Callable[[int], object] = lambda _frames: None,
) -> dict[float, Tally]:
    """Keep `lanes` lines busy until so many frames have passed; what happened, by hits a byte.

    All rates take turns, so that a slow minute of this machine slows all alike.
    """
    tallies = {rate: Tally() for rate in rates}
    # A damaged lap waits out timeouts, so the worst lines get fewer frames.
    share = {rate: 1 / (1 + 2000 * rate) for rate in rates}
    started = dict.fromkeys(rates, 0)
    with (
        tempfile.TemporaryDirectory() as folder,
        ProcessPoolExecutor(lanes, mp_context=get_context("spawn")) as pool,
    ):
        truths = [learn(path) for path in make_models(Path(folder))]
        running: dict[Future[Tally], float] = {}
        while True:
            enough = _frames(tallies) >= frames and all(t.laps for t in tallies.values())
            while not enough and len(running) < lanes:
                rate = min(rates, key=lambda r: started[r] / share[r])
                running[_start(pool, seed, rate, started[rate], truths, line_rate)] = rate
                started[rate] += 1
            if not running:
                return tallies
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                tallies[running.pop(done)].add(done.result())
            on_frames(_frames(tallies))


def _start(
    pool: ProcessPoolExecutor, seed: int, rate: float, n: int, truths: list[Truth], line_rate: int
) -> Future[Tally]:
    name = f"line-{seed}-{rate:g}-{n}"
    return pool.submit(laps, name, rate, _LAPS_A_TASK, truths, line_rate)


def _frames(tallies: dict[float, Tally]) -> int:
    return sum(tally.frames for tally in tallies.values())


def kept(tallies: dict[float, Tally]) -> bool:
    """Whether the promise was kept: no wrong number, no fault that blames model or job."""
    return not any(tally.wrong or tally.misplaced for tally in tallies.values())


def rows(tallies: dict[float, Tally]) -> list[dict[str, Any]]:
    """One row for each rate; speeds beside those of the first, the clean line's."""
    found: list[dict[str, Any]] = []
    for rate, t in tallies.items():
        upload = t.upload_bytes / t.upload_s if t.upload_s else 0.0
        runs = t.runs / t.run_s if t.run_s else 0.0
        first = found[0] if found else {"upload bytes/s": upload, "runs/s": runs}
        found.append(
            {
                "hits/byte": rate,
                "frames": t.frames,
                "damaged": t.damaged,
                "rejected": t.rejected,
                "sent again": t.retransmissions,
                "runs": t.runs,
                "uploads": t.uploads,
                "compared": t.checked,
                "wrong": len(t.wrong),
                "faults": dict(sorted(t.faults.items())),
                "misplaced": t.misplaced,
                "upload bytes/s": round(upload),
                "upload share": round(upload / first["upload bytes/s"], 3),
                "runs/s": round(runs, 2),
                "runs share": round(runs / first["runs/s"], 3),
            }
        )
    return found


def _print(found: list[dict[str, Any]]) -> None:
    """A column for each rate: there are more figures than rates."""
    table = Table(title="Noise between host and firmware", title_justify="left", show_header=False)
    for i in range(len(found) + 1):
        table.add_column("", justify="right" if i else "left")
    for name in found[0]:
        table.add_row(name, *(_shown(row[name]) for row in found))
    Console().print(table)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{n} {name}" for name, n in value.items()) or "none"
    if isinstance(value, list):
        return str(len(value))
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def main() -> int:
    """Run the campaign; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.noise", description=__doc__)
    parser.add_argument("--frames", type=int, default=1_000_000, help="both directions, all rates")
    parser.add_argument(
        "--rates", default="0,1e-5,1e-4,1e-3", help="hits a byte; the first is the yardstick"
    )
    parser.add_argument("--lanes", type=int, default=12, help="lines at the same time")
    parser.add_argument(
        "--line-rate", type=int, default=921_600, help="bits per second of each line"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="PNG of speed against noise")
    options = parser.parse_args()
    with Progress(
        *Progress.get_default_columns(), MofNCompleteColumn(), TimeElapsedColumn()
    ) as bar:
        task = bar.add_task("frames", total=options.frames)
        tallies = campaign(
            options.frames,
            [float(rate) for rate in options.rates.split(",")],
            lanes=options.lanes,
            line_rate=options.line_rate,
            seed=options.seed,
            on_frames=lambda n: bar.update(task, completed=n),
        )
    found = rows(tallies)
    _print(found)
    for tally in tallies.values():
        for line in tally.wrong + tally.misplaced:
            Console(stderr=True).print(line)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if options.plot:
        plot(found, options.plot)
    return 0 if kept(tallies) else 1


if __name__ == "__main__":
    sys.exit(main())
