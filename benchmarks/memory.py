"""Memory of a host with 20 boards: agent, fork server and workers, idle after a job each."""

from __future__ import annotations

import re
import statistics
import time
from pathlib import Path

from benchmarks.harness import Result, agent, private_settings, process_tree
from edgeprof.client import Lab

NAME = "memory"
BOARDS = 20
#: A worker gives free memory back at its next heartbeat.
_IDLE_S = 6.0


def measure(*, quick: bool) -> Result:
    """Start an agent with native boards, and read the PSS of the Python processes below it.

    PSS counts a page that n processes share as 1/n of a page in each.
    """
    boards = [f"native-{i:02x}" for i in range(1, (2 if quick else BOARDS) + 1)]
    urls = [f"native://?uid={board.removeprefix('native-')}" for board in boards]
    with private_settings() as settings:
        started_s = time.perf_counter()
        with agent(settings, urls) as process, Lab(settings=settings) as lab:
            online_s = time.perf_counter() - started_s
            jobs = [lab.submit("shakespeare-240k", board=board, n_gen=8) for board in boards]
            for job in jobs:
                job.wait(timeout=120)
            time.sleep(_IDLE_S)
            found = {pid: _command(pid) for pid in process_tree(process.pid)}
            python = {pid: _pss_mib(pid) for pid, words in found.items() if "-m" in words}
            workers = [pss for pid, pss in python.items() if found[pid][-1].startswith("{")]
            row = {
                "boards": len(workers),
                "online after s": round(online_s, 1),
                "agent MiB": python[process.pid],
                "a worker MiB": statistics.median(workers),
                "all MiB": sum(python.values()),
            }
    return Result(NAME, "Memory of a host (PSS)", [row])


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def _pss_mib(pid: int) -> float:
    match = re.search(r"Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())
    return int(match[1]) / 1024 if match else 0.0
