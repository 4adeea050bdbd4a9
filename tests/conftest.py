"""Shared fixtures: a private Redis for each test process, and settings that touch nothing else."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from redis import Redis

from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from tests.support.lab_settings import make_settings
from tests.support.leftovers import end_leftovers
from tests.support.null_lab import Rig
from tests.support.redis_process import RedisProcess
from tests.support.span_collector import collect_spans
from tests.support.waiting import free_port, wait_until

# The same examples each time, and no verdict on how fast a shared machine was.
hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")

_databases = itertools.cycle(range(16))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A test run in the background inherits "ignore", and so would every program that a test means
    # to interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's own reaches a test."""
    for name in os.environ:
        if name.startswith(("EDGEPROF_", "OTEL_")):
            monkeypatch.delenv(name)


@pytest.fixture(name="free_port", scope="session")
def free_port_fixture() -> Callable[[], int]:
    """`free_port()`: a port nobody listens on."""
    return free_port


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
def redis_url(redis_of_session: RedisProcess, tmp_path: Path) -> Iterator[str]:
    """An empty Redis of this test process' own.

    Each test has the next of its sixteen databases: what a killed client had sent, and Redis had
    not yet read, reaches no other test. What the test started with its tmp_path and left is killed.
    """
    with Redis(port=redis_of_session.port) as redis:
        redis.flushall()
    yield redis_of_session.url.removesuffix("0") + str(next(_databases))
    end_leftovers(tmp_path)


@pytest.fixture
def make_redis(tmp_path: Path) -> Iterator[Callable[..., RedisProcess]]:
    """`make_redis(*options, sentinel=None)`: a Redis of this test's own, not started: to be killed
    and started at will."""
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


@pytest.fixture
def store(settings: Settings) -> Iterator[LabStore]:
    """The stores over an empty Redis."""
    opened = LabStore.open(settings)
    yield opened
    opened.close()


@pytest.fixture
def rig(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Rig]:
    """A lab whose parts a test starts; all of them end with it."""
    made = Rig(settings, wait_until)
    yield made
    made.close()


@pytest.fixture(scope="session")
def open_collector() -> Callable[[], Any]:
    """`with open_collector() as collector:` receives spans, as a Jaeger would."""
    return collect_spans
