"""Resident memory of a board worker process, idle after its first job."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.harness import Result, agent, private_settings
from edgeprof.client import Lab

NAME = "memory"
BOARDS = 3


def measure(*, quick: bool) -> Result:
    """Start an agent with a few native boards and read VmRSS of its children."""
    n = 1 if quick else BOARDS
    urls = [f"native://?uid=0{i}" for i in range(1, n + 1)]
    with private_settings() as settings, agent(settings, urls) as process:
        with Lab(settings=settings) as lab:
            for i in range(1, n + 1):
                lab.submit("shakespeare-240k", board=f"native-0{i}", n_gen=8).wait(timeout=60)
        workers = _children(process.pid)
        rows = [{"process": "agent", "RSS MiB": _rss_mib(process.pid)}]
        rows += [
            {"process": f"board worker {i}", "RSS MiB": _rss_mib(w)}
            for i, w in enumerate(workers, 1)
        ]
    return Result(NAME, "Resident memory", rows)


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def _rss_mib(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return round(int(match[1]) / 1024, 1) if match else 0.0
