"""The end of a thread that a process cannot do without is the process's end."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeprof.shared.settings import Settings
from edgeprof.shared.vital_threads import EXIT_THREAD_DIED

ROOT = Path(__file__).parents[2]
#: Threads whose end is not the process's, each with the reason.
HARMLESS = {
    "workers/edgeprof/workers/link/port.py": "what it raises is raised where it is waited for",
    "workers/edgeprof/workers/board/meter.py": "a meter that dies leaves its energy absent",
    "workers/edgeprof/workers/worker/requests.py": "what it raises is the answer to who asked",
    "workers/edgeprof/workers/emulated/child.py": "it catches whatever a start raises",
    "workers/edgeprof/workers/worker/board_log.py": "lines are lost that files have",
    "shared/edgeprof/shared/store/port_loans.py": "the loan runs out, and the board is back",
    "scheduler/edgeprof/scheduler/timekeeper.py": "the next tick begins the run's work again",
}
START = {
    "announcer": """
from edgeprof.shared.store.hosts import HostInfo, HostStore
from edgeprof.workers.host.announcer import Announcer
HostStore.announce = broken
info = HostInfo(host="h", pid=1, sessions_address="a:1", devices_address="a:2")
Announcer(settings, lambda: info).__enter__()
""",
    "http": """
from prometheus_client import CollectorRegistry
from edgeprof.shared.telemetry import endpoint
endpoint.Server.serve_forever = broken
endpoint.Endpoint(CollectorRegistry(), "127.0.0.1", 0)
""",
    "lease": """
from types import SimpleNamespace
from edgeprof.workers.worker.lease import Lease
claim = SimpleNamespace(spec=SimpleNamespace(timeout_s=60), job_id="j", epoch=1)
Lease(SimpleNamespace(renew=broken), claim, claimed_at_s=0, lease_s=60, heartbeat_s=0,
      stopping=threading.Event()).__enter__()
""",
    "heartbeat": """
import sys
sys.argv = ["w", '{"url": "null://?uid=01"}']
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.testing import fake_job, null_worker
from edgeprof.workers.worker.serve import serve
WorkerBoard.unplugged = broken
config = BoardConfig.model_validate_json(sys.argv[1])
serve(config, settings, null_worker.open_board, fake_job.carry_out, fake_job.self_test)
""",
}
BEFORE = """
import threading
from edgeprof.shared.telemetry import logs
from edgeprof.shared.settings import load_settings
settings = load_settings()
logs.configure(settings, "test")
def broken(*_args, **_more):
    raise AttributeError("a bug")
"""


RETURN = """
from edgeprof.workers.host.announcer import Announcer
from edgeprof.workers.worker.lease import Lease
from edgeprof.workers.worker.heartbeat import Heartbeat
Announcer._keep = Lease._keep = Heartbeat.run = lambda _self: None
broken = lambda *_args, **_more: None
"""


@pytest.mark.parametrize(
    ("before", "words"),
    [("", "AttributeError: a bug"), (RETURN, "it returned, and nobody had told it to")],
    ids=["raises", "returns"],
)
@pytest.mark.parametrize("name", START)
def test_process_ends_with_its_thread(
    settings: Settings, name: str, before: str, words: str
) -> None:
    """A process ends at once with a vital thread, by a code of its own, and logs which thread it
    was and why."""
    script = f"{BEFORE}{before}{START[name]}\nthreading.Event().wait(60)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **settings.as_environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == EXIT_THREAD_DIED, done.stderr
    assert f"thread {name}" in done.stderr
    assert words in done.stderr


def test_every_thread_is_vital_or_harmless() -> None:
    """A thread that is started in another way would die unnoticed."""
    found = {
        str(path.relative_to(ROOT))
        for folder in ("shared", "workers", "scheduler")
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "vital_threads.py" and _starts_a_thread(path)
    }

    assert found == set(HARMLESS)


def _starts_a_thread(path: Path) -> bool:
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "Thread"
        for node in ast.walk(ast.parse(path.read_text()))
    )
