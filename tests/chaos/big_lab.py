"""A lab of many processes: Redis, scheduler, and agents of several hosts, each to be killed at
will.

Every host has locks, logs and caches of its own, as machines do. What is killed is started again by
`tend`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.board import BoardState
from tests.support.redis_process import ONCE

NULL_AGENT = Path(__file__).with_name("null_agent.py")
SCHEDULER = [sys.executable, "-m", "edgeprof.cli", "scheduler"]

#: Before the command of a host's processes: `ip netns exec NAME`, or nothing.
Inside = Callable[[str], list[str]]


class BigLab:
    """Use as a context manager; what still runs at its end is killed."""

    def __init__(
        self,
        hosts: int,
        boards: int,
        *,
        lease_s: float,
        address: str = "127.0.0.1",
        port: int,
        inside: Inside = lambda _host: [],
        **settings: Any,
    ) -> None:
        """`settings`: for all processes, beside those of `settings()`."""
        self.folder = Path(tempfile.mkdtemp(prefix="edgeprof-chaos-"))
        self.lease_s = lease_s
        self.boards = {f"host{h}": [f"null-{h}{b:02}" for b in range(boards)] for h in range(hosts)}
        self._address, self._port, self._inside = address, port, inside
        self._settings = settings
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.store: LabStore

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._end_all()  # nobody calls __exit__ then
            raise
        return self

    def _start_all(self) -> None:
        (self.folder / "redis").mkdir()
        self.tend()
        self.store = LabStore.open(self.settings("client"))
        names = {board for boards in self.boards.values() for board in boards}
        self.until(
            lambda: {b.device_id for b in self.seen() if b.state is BoardState.ONLINE} == names,
            "all boards are online",
            timeout_s=120,
        )

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.store.close()
        self._end_all()

    def _end_all(self) -> None:
        """End what runs, Redis last: the others say goodbye to it."""
        redis = self._running.pop("redis")
        for group in (list(self._running.values()), [redis]):
            for process in group:
                process.terminate()
            for process in group:
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def seen(self) -> Sequence[Any]:
        """Return the boards as the lab lists them."""
        return self.store.boards.all()

    def settings(self, host: str) -> Settings:
        """Return the settings of a host's processes."""
        root = self.folder / host
        return Settings(
            redis_url=f"redis://{self._address}:{self._port}/0",
            host=host,
            data_dir=root / "data",
            cache_dir=root / "cache",
            lock_dir=root / "locks",
            log_dir=root / "logs",
            metrics_port=0,
            device_metrics_port=0,
            scheduler_port=0,
            lease_s=self.lease_s,
            stop_grace_s=3,
            retry_backoff_s=0.2,
            quarantine_after=1000,
        ).model_copy(update=self._settings)

    def pid(self, name: str) -> int:
        """Return the process of "redis", "scheduler" or a host's agent."""
        return self._running[name].pid

    def workers(self, host: str) -> dict[str, int]:
        """Return the worker processes of a host: board -> pid."""
        found = {}
        servers = _children(self.pid(host))
        for child in [worker for server in servers for worker in _children(server)]:
            try:
                command = Path(f"/proc/{child}/cmdline").read_text()
            except OSError:
                continue
            for board in self.boards[host]:
                if f'uid={board.removeprefix("null-")}"' in command:
                    found[board] = child
        return found

    def tend(self) -> None:
        """Start whatever does not run."""
        if self._ended("redis"):
            self._start("redis", self._redis_command(), {})
            until(self._redis_answers, "Redis answers")
        if self._ended("scheduler"):
            command = [*self._inside("scheduler"), *SCHEDULER]
            self._start("scheduler", command, self.settings("scheduler").as_environment())
        for host, boards in self.boards.items():
            if self._ended(host):
                urls = [f"null://?uid={board.removeprefix('null-')}" for board in boards]
                command = [*self._inside(host), sys.executable, str(NULL_AGENT), *urls]
                self._start(host, command, self.settings(host).as_environment())

    def until(self, condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
        """Wait for a condition while what was killed comes back."""

        def holds() -> object:
            self.tend()
            return condition()

        until(holds, what, timeout_s)

    def insist(self, action: Callable[[], object], what: str) -> None:
        """Repeat an action until Redis takes it, as a patient client does."""

        def done() -> bool:
            action()
            return True

        self.until(done, what)

    def _ended(self, name: str) -> bool:
        return name not in self._running or self._running[name].poll() is not None

    def _start(self, name: str, command: Sequence[str], environment: dict[str, str]) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self._running[name] = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def _redis_command(self) -> list[str]:
        server = shutil.which("redis-server") or "redis-server"
        options = {
            "port": self._port,
            "bind": self._address,
            "protected-mode": "no",
            "dir": self.folder / "redis",
            "save": "",
            "appendonly": "yes",
        }
        flat = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [server, *flat]

    def _redis_answers(self) -> bool:
        with Redis(host=self._address, port=self._port, retry=ONCE) as redis:
            try:
                return bool(redis.ping())
            except RedisError:
                return False


def _children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def until(condition: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    """Wait for a condition, through outages of Redis."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            if condition():
                return
        except InfrastructureError:
            pass
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.02)
