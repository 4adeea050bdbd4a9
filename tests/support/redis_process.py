"""A redis-server that a test starts, kills and starts again."""

from __future__ import annotations

import subprocess
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from tests.support.waiting import free_port, wait_until

#: A client that tries once; the default of redis-py waits four seconds for an absent server.
ONCE = Retry(NoBackoff(), 0)


class RedisProcess:
    """A redis-server that a test may kill and start again; what it held survives in its folder."""

    def __init__(self, folder: Path, *options: str, sentinel: str | None = None) -> None:
        """options: of redis-server, after ours; sentinel: the configuration of a Sentinel, to be
        that."""
        self.folder = folder
        self._options = options
        self._sentinel = sentinel
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = ["redis-server"]
        if self._sentinel is not None:
            config = self.folder / "sentinel.conf"
            config.write_text(self._sentinel)
            command += [str(config), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if self._sentinel is None:
            command += ["--save", "", "--appendonly", "yes", "--appendfsync", "always"]
        command += self._options
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self.answers, "redis-server answers")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send the server a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def connect(self) -> Redis:
        return Redis(port=self.port)

    def answers(self) -> bool:
        with Redis(port=self.port, retry=ONCE) as redis:
            try:
                return bool(redis.ping())
            except AuthenticationError:
                return True  # there, and guarded
            except RedisError:
                return False
