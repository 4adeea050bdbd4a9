"""One trouble is one line: of a Redis that is away, a board worker says so once, and once that it
is back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.client import Lab
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from tests.support.redis_process import RedisProcess


def test_idle_worker_tells_an_outage_once(
    settings: Settings, redis_process: RedisProcess, tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """An idle worker logs an outage once, however often Celery and the heartbeat try meanwhile."""
    redis_process.start()
    own = settings.model_copy(update={"redis_url": redis_process.url, "log_level": "INFO"})
    out = tmp_path / "worker.out"
    with out.open("wb") as file:
        worker = subprocess.Popen(
            [sys.executable, "-m", "edgeprof.workers.testing", '{"url": "null://?uid=01"}'],
            cwd=Path(__file__).parents[2],
            env={**os.environ, **own.as_environment()},
            stderr=file,
        )
    try:
        with LabStore.open(own) as store:

            def online() -> bool:
                return any(b.state is BoardState.ONLINE for b in store.boards.all())

            wait_until(online, "the board is online")
        before = out.stat().st_size
        redis_process.stop()
        wait_until(lambda: "trying on" in out.read_text(), "the outage is told")
        time.sleep(5)  # Celery tries again after 2 s and after 4 s
        redis_process.start()
        wait_until(lambda: "Redis is back" in out.read_text(), "its end is told")
        lines = out.read_bytes()[before:].decode().splitlines()
        assert len(lines) == 2, lines
    finally:
        worker.kill()
        worker.wait()


def test_a_person_learns_of_a_stall_that_comes_after_the_greeting(
    settings: Settings, redis_process: RedisProcess
) -> None:
    """Within two seconds; the start of Python comes to it."""
    redis_process.start()
    own = settings.model_copy(update={"redis_url": redis_process.url})
    with Lab(settings=own, hurried=True) as lab:
        lab.jobs()
        redis_process.signal(signal.SIGSTOP)
        began_s = time.monotonic()
        try:
            with pytest.raises(StoreUnavailable, match="does not answer"):
                lab.jobs()
            took_s = time.monotonic() - began_s
        finally:
            redis_process.signal(signal.SIGCONT)

        assert lab.jobs() == []
    assert took_s < 2.5
