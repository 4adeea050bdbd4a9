"""Shared by all benchmarks: a private Redis, a lab of native boards, a table and a JSON file."""

from __future__ import annotations

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rich.console import Console
from rich.table import Table

from edgeprof.client import Lab
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardState

NULL_AGENT = Path(__file__).parents[1] / "tests/chaos/null_agent.py"
RESULTS = Path(__file__).parent / "results"
console = Console()


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark's result: rows for people, and the same as JSON for scripts."""

    name: str
    title: str
    rows: list[dict[str, Any]]


def report(result: Result) -> None:
    """Print the table and write benchmarks/results/NAME.json."""
    table = Table(title=result.title, title_justify="left")
    for column in result.rows[0]:
        table.add_column(
            column, justify="left" if column == next(iter(result.rows[0])) else "right"
        )
    for row in result.rows:
        table.add_row(*(f"{v:,.3g}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{result.name}.json"
    path.write_text(json.dumps({"title": result.title, "rows": result.rows}, indent=2) + "\n")


def rate(work: Callable[[], object], n: int) -> float:
    """Call once; returns items per second, where the call handles `n` items."""
    started = time.perf_counter()
    work()
    return n / (time.perf_counter() - started)


def interleaved(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Return each contestant's median. They take turns, so that a slow minute slows all alike."""
    figures: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, measure in contestants.items():
            figures[name].append(measure())
    return {name: statistics.median(values) for name, values in figures.items()}


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.01)


@contextmanager
def private_settings() -> Iterator[Settings]:
    """Settings with a Redis and folders of this run's own."""
    with tempfile.TemporaryDirectory(prefix="edgeprof-bench-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = shutil.which("redis-server")
        if server is None:
            raise SystemExit("bench: redis-server is missing; make bench installs it")
        command = [
            server,
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            folder,
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            try:
                until(lambda: _answers(port), "redis-server answers")
                root = Path(folder)
                yield Settings(
                    redis_url=f"redis://127.0.0.1:{port}/0",
                    data_dir=root / "data",
                    cache_dir=root / "cache",
                    lock_dir=root / "locks",
                )
            finally:
                process.kill()


def _answers(port: int) -> bool:
    with Redis(port=port, retry=Retry(NoBackoff(), 0)) as redis:
        try:
            return bool(redis.ping())
        except RedisError:
            return False


@contextmanager
def agent(settings: Settings, urls: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a host agent with these boards, all native or all imaginary (null://).

    The block runs once all are online.
    """
    if urls[0].startswith("null:"):
        command = [sys.executable, str(NULL_AGENT), *urls]
    else:
        command = [sys.executable, "-m", "edgeprof.cli", "worker"]
        for url in urls:
            command += ["--board", url]
    environment = {**os.environ, **settings.as_environment(), "EDGEPROF_LOG_LEVEL": "ERROR"}
    with (
        subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process,
        Lab(settings=settings) as lab,
    ):
        try:
            until(
                lambda: sum(b.state is BoardState.ONLINE for b in lab.boards()) == len(urls),
                "the boards are online",
            )
            yield process
        finally:
            process.terminate()


@contextmanager
def scheduler(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """Start a scheduler; the block runs at once."""
    command = [sys.executable, "-m", "edgeprof.cli", "scheduler"]
    environment = {**os.environ, **settings.as_environment(), "EDGEPROF_LOG_LEVEL": "ERROR"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def process_tree(pid: int) -> Iterator[int]:
    """Return the id of a process, and of all below it."""
    yield pid
    with suppress(FileNotFoundError):  # a thread, or the process, has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from process_tree(int(child))
