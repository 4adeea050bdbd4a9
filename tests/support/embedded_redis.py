"""An embedded Redis of a test's own, and what can be done to it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.client import PERSON_ANSWER_S
from edgeprof.shared.redis.embedded import files, owner
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore


class Embedded:
    """An embedded Redis of this test's own."""

    def __init__(self, settings: Settings, wait_until: Callable[..., None]) -> None:
        self.settings = settings
        self.folder = settings.data_dir / "redis"
        self.wait_until = wait_until

    @property
    def pid(self) -> int:
        found = owner.owner(self.folder)
        assert found is not None
        return found.pid

    def start(self) -> int:
        redis_server.locate(self.settings)
        return self.pid

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.until_gone()

    def until_gone(self) -> None:
        self.wait_until(lambda: owner.owner(self.folder) is None, "the server is gone")

    def full(self) -> None:
        """No file of the server may grow any more: what a full disk is to it."""
        size = sum(file.stat().st_size for file in self.folder.glob("appendonlydir/*.incr.aof"))
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def roomy(self) -> None:
        limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(self.pid, resource.RLIMIT_FSIZE, limit)

    def client(self) -> Redis:
        server = files.remembered(self.folder)[0]
        return Redis(port=server.port, password=server.password)

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")}
        return kept | self.settings.as_environment()

    def edgeprof(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgeprof.cli", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def slow_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str) -> None:
    """Put a redis-server before the real one that does something first."""
    real = shutil.which("redis-server")
    wrapper = tmp_path / "bin" / "redis-server"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\n{before}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")


def refusal(embedded: Embedded) -> InfrastructureError:
    with pytest.raises(InfrastructureError) as caught:
        LabStore.open(embedded.settings, PERSON_ANSWER_S).close()
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


def leave(embedded: Embedded, keys: int) -> None:
    """Leave a file behind that the next server will load."""
    embedded.start()
    with embedded.client() as redis:
        redis.config_set("appendfsync", "no")
        with redis.pipeline(transaction=False) as pipe:
            for number in range(keys):
                pipe.set(f"key:{number}", "x")
            pipe.execute()
    redis_server.stop(embedded.settings)


def delay_loading(monkeypatch: pytest.MonkeyPatch, key_us: int) -> None:
    from edgeprof.shared.redis.embedded import start

    monkeypatch.setattr(start, "CONFIG", f"{start.CONFIG}key-load-delay {key_us}\n")
