"""A lab for the campaign on boards: Redis, custodian, real board workers that are started again
when they end."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from edgeprof.scheduler.service import run_scheduler
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.host.agent import WORKER_COMMAND
from tests.support.redis_process import RedisProcess

#: The agent's first pause before it starts a worker again. Its later ones grow to 30 s for a board
#: that is pulled this often; that is its business, and would only hide what is measured here.
_RESTART_S: Final = 0.5


@contextmanager
def board_lab(urls: Sequence[str]) -> Iterator[Settings]:
    """A lab whose boards have been tested, with the product's own times."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = RedisProcess(folder, "--appendonly", "no")
        stack.callback(redis.stop)
        redis.start()
        settings = Settings(
            redis_url=redis.url,
            data_dir=folder / "data",
            cache_dir=folder / "cache",
            lock_dir=folder / "locks",
            log_dir=folder / "logs",
            scheduler_port=0,
        )
        stop = threading.Event()
        threads = [threading.Thread(target=run_scheduler, args=(settings, None, stop))]
        threads += [
            threading.Thread(target=_keep_worker, args=(url, settings, stop)) for url in urls
        ]
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(stop.set)
        store = LabStore.open(settings)
        stack.callback(store.close)
        # Some sick boards fail their self-test: those take the jobs for themselves only.
        ready = {BoardState.ONLINE, BoardState.QUARANTINED}
        until(
            lambda: sum(b.state in ready for b in store.boards.all()) == len(urls),
            "the boards are tested",
        )
        yield settings


def _keep_worker(url: str, settings: Settings, stop: threading.Event) -> None:
    command = [*WORKER_COMMAND, BoardConfig(url=url).model_dump_json()]
    environment = {**os.environ, **settings.as_environment(), "EDGEPROF_LOG_LEVEL": "ERROR"}
    while not stop.is_set():
        worker = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while worker.poll() is None and not stop.wait(0.05):
            pass
        worker.terminate()
        worker.wait()
        stop.wait(_RESTART_S)


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> float:
    """Wait for a condition; returns the monotonic time at which it was seen to hold."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.01)
    return time.monotonic()
