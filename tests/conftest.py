"""Shared fixtures: a private Redis for each test process, and settings that touch nothing else."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore

# The same examples each time, and no verdict on how fast a shared machine was.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A test run in the background inherits "ignore", and so would every program that a test means to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own reaches a test."""
    for name in os.environ:
        if name.startswith(("EDGEPROF_", "OTEL_")):
            monkeypatch.delenv(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(name="free_port", scope="session")
def free_port_fixture() -> Callable[[], int]:
    """`free_port()`: a port nobody listens on."""
    return free_port


class RedisProcess:
    """A redis-server that a test may kill and start again; what it held survives in its folder."""

    def __init__(self, folder: Path, *options: str, sentinel: str | None = None) -> None:
        """options: of redis-server, after ours; sentinel: the configuration of a Sentinel, to be that."""
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

    def connect(self) -> Redis:
        return Redis(port=self.port)

    def answers(self) -> bool:
        with Redis(port=self.port) as redis:
            try:
                return bool(redis.ping())
            except AuthenticationError:
                return True  # there, and guarded
            except RedisError:
                return False


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = 30) -> None:
    """Poll until the condition holds; fail by name when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {timeout_s:g} s in vain until {what}")
        time.sleep(0.02)


@pytest.fixture(name="wait_until", scope="session")
def wait_until_fixture() -> Callable[..., None]:
    """`wait_until(condition, what, timeout_s=30)`."""
    return wait_until


@pytest.fixture(scope="session")
def redis_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisProcess]:
    server = RedisProcess(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_of_session: RedisProcess) -> str:
    """An empty Redis of this test process' own."""
    with Redis(port=redis_of_session.port) as redis:
        redis.flushall()
    return redis_of_session.url


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., RedisProcess]]:
    """`make_redis(*options, sentinel=None)`: a Redis of this test's own, not started: to be killed and started at will."""
    made: list[RedisProcess] = []

    def make(*options: str, **more: str) -> RedisProcess:
        folder = tmp_path / f"own-redis-{len(made)}"
        folder.mkdir()
        made.append(RedisProcess(folder, *options, **more))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def redis_process(make_redis: Callable[..., RedisProcess]) -> RedisProcess:
    """A Redis of this test's own, not started."""
    return make_redis()


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    """Settings with short times, and every folder below tmp_path."""
    return make_settings(tmp_path, redis_url)


def make_settings(tmp_path: Path, redis_url: str | None) -> Settings:
    return Settings(
        redis_url=redis_url,
        data_dir=tmp_path / "data",
        cache_dir=tmp_path / "cache",
        lock_dir=tmp_path / "locks",
        log_dir=tmp_path / "logs",
        metrics_port=0,
        device_metrics_port=0,
        scheduler_port=0,
        host="testhost",
        lease_s=2,
        custodian_interval_s=0.2,
        doorbell_grace_s=0.5,
        board_ttl_s=3,
        probe_interval_s=0.5,
        stop_grace_s=0.5,
        retry_backoff_s=0.1,
        store_patience_s=10,
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[LabStore]:
    """The stores over an empty Redis."""
    opened = LabStore.open(settings)
    yield opened
    opened.close()


class Collector:
    """An OTLP/HTTP collector that keeps (span, attributes of its resource)."""

    def __init__(self) -> None:
        self.spans: list[tuple[Any, dict[str, str]]] = []
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                keep(body)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def _keep(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans.extend((span, named) for span in scope.spans)


@contextmanager
def _collector() -> Iterator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever)
    thread.start()
    try:
        yield collector
    finally:
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


@pytest.fixture(scope="session")
def open_collector() -> Callable[[], Any]:
    """`with open_collector() as collector:` receives spans, as a Jaeger would."""
    return _collector
