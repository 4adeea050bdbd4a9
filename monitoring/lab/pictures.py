"""`make pictures`: runs a lab for some minutes, and draws every dashboard into docs/images."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rich.console import Console

from edgeprof.client import sweep
from edgeprof.client.grid import Grid
from edgeprof.client.request import Request
from edgeprof.shared.settings import load_settings
from monitoring.lab.config import ROOT
from monitoring.lab.lab import MonitoredLab, Ports
from monitoring.lab.plug import Plug

_DRAW: Final = ROOT / "monitoring" / "grafana" / "draw"
_DASHBOARDS: Final = ROOT / "monitoring" / "grafana" / "dashboards"
_NATIVE: Final = ROOT / "firmware" / "build" / "native" / "tlep-native"
_MODEL: Final = "shakespeare-240k"
_PLATFORMS: Final = ("native", "stm32f405", "mps2-an500", "riscv32-virt")
_EMULATED: Final = {
    "stm32f405-1": "qemu://stm32f405?uid=2ab3",
    "mps2-an500-1": "qemu://mps2-an500?uid=2ab4",
    "riscv32-virt-1": "qemu://riscv32-virt?uid=2ab5",
}


def main() -> int:
    """Run jobs, cause some faults, draw; returns the exit code."""
    console = Console(stderr=True, highlight=False)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgeprof-pictures-")))
        plugs = [
            stack.enter_context(Plug(name, _NATIVE, ["--uid", uid, *options], replug_s))
            for name, uid, options, replug_s in (
                ("native-1", "2ab1", ["--temperature", "41000"], None),
                ("native-2", "2ab2", ["--temperature", "88500"], 45),
                ("forgetful", "2ab6", ["--fault", "6:0"], None),
            )
        ]
        boards = {plug.name: plug.url for plug in plugs} | _EMULATED
        settings = load_settings().model_copy(
            update={"low_throughput": "1,riscv32-virt=0.1", "host": "lab-1"}
        )
        lab = stack.enter_context(MonitoredLab(folder, boards, settings, Ports.free()))
        console.print(f"a lab with {len(boards)} emulated boards runs jobs for some minutes …")
        while not _scraped(lab):  # the first failures must come after the first scrape
            time.sleep(1)
        began_s = time.monotonic()
        _run_jobs(lab, plugs)
        console.print("drawing …")
        return _draw(lab, (time.monotonic() - began_s) / 60)


def _run_jobs(lab: MonitoredLab, plugs: list[Plug]) -> None:
    base = Request(model=_MODEL, n_prompt=32, n_gen=32, score=True)
    kinds = ["F32", "Q8_0", "Q4_0"]
    _wait(sweep.submit(lab.lab, _grid(kinds, _PLATFORMS).requests(base)))
    for _ in range(4):
        lab.lab.submit("shakespeare-240k", board="forgetful", n_gen=8).wait()
        time.sleep(5)
    plugs[1].unplug()
    again = dataclasses.replace(base, score=False, repetitions=10, profile=True)
    for _ in range(2):
        _wait(sweep.submit(lab.lab, _grid(kinds, _PLATFORMS).requests(again)))
        time.sleep(15)
    # Jobs that still wait when the pictures are taken, and a board that is away then.
    waiting = Request(model=_MODEL, n_prompt=32, n_gen=64, repetitions=20)
    slow = ["riscv32-virt", "stm32f405"]
    sweep.submit(lab.lab, _grid(kinds, slow).requests(waiting) * 3)
    time.sleep(25)
    plugs[0].unplug()
    time.sleep(15)


def _grid(kinds: list[str], platforms: Sequence[str]) -> Grid:
    return Grid(model=[_MODEL], quantization=kinds, platform=platforms)


def _wait(swept: sweep.SweepResult) -> None:
    for job in swept.jobs:
        job.wait()


def _scraped(lab: MonitoredLab) -> bool:
    query = urllib.parse.urlencode({"query": "count(profiling_errors_total) > 0"})
    with urllib.request.urlopen(
        lab.url("prometheus", f"/api/v1/query?{query}"), timeout=5
    ) as reply:
        return bool(json.load(reply)["data"]["result"])


def _draw(lab: MonitoredLab, minutes: float) -> int:
    done = subprocess.run(
        [
            *("node", "draw.mjs", "--prometheus", lab.url("prometheus")),
            *(
                "--out",
                ROOT / "docs" / "images",
                "--from-minutes",
                str(minutes),
                "--scrape-seconds",
                "5",
            ),
            *("--skip", "traces", "--skip", "logs"),
            *sorted(_DASHBOARDS.glob("*.json")),
        ],
        cwd=_DRAW,
        check=False,
    )
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
