"""A Redis that may lose jobs, or has lost them, is noticed."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from edgeprof.scheduler.known_stores import KnownStores
from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.errors import JobNotFound
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec
from tests.support.null_lab import Rig

CLI = [sys.executable, "-m", "edgeprof.cli"]


def kinds(store: LabStore) -> set[str]:
    return {danger.kind for danger in store.watch.look()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--appendonly", "yes"), set()),
        (("--appendonly", "no"), {"not_persistent"}),
        (("--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"), {"evicts"}),
        (("--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"), {"evicts"}),
        (
            ("--appendonly", "no", "--maxmemory-policy", "allkeys-random"),
            {"evicts", "not_persistent"},
        ),
    ],
)
def test_settings_that_lose_jobs_are_told(
    make_redis: Callable[..., Any], settings: Settings, options: tuple[str, ...], expected: set[str]
) -> None:
    """Each by its kind, with what to set; a Redis set up as documented is told nothing."""
    redis = make_redis(*options)
    redis.start()
    with LabStore.open(settings.model_copy(update={"redis_url": redis.url})) as store:
        assert kinds(store) == expected
        assert all(danger.hint for danger in store.watch.dangers)


def test_emptied_store_is_told_to_whoever_knew_it(store: LabStore, settings: Settings) -> None:
    """An emptied store is noticed by the first who knew it, and then told to all, by whatever road
    they come."""
    assert "emptied" not in kinds(store)
    store.script.redis.flushall()
    with LabStore.open(settings) as newcomer:
        assert "emptied" not in kinds(newcomer)
        assert "emptied" in kinds(store)
        assert "emptied" in kinds(newcomer)


def test_restart_without_persistence_is_told(
    make_redis: Callable[..., Any], settings: Settings
) -> None:
    """The same as being emptied: the store that comes back is another."""
    redis = make_redis("--appendonly", "no")
    redis.start()
    with LabStore.open(settings.model_copy(update={"redis_url": redis.url})) as store:
        kinds(store)
        redis.stop()
        redis.start()
        assert "emptied" in kinds(store)


def test_scheduler_remembers_the_store_over_its_own_restart(
    store: LabStore, settings: Settings
) -> None:
    """Redis and the scheduler of one machine go down together; and no password is in the file."""
    kinds(store)
    memory = KnownStores(settings.data_dir)
    memory.keep("redis://:secret@lab/0", store.watch.known_id)
    store.script.redis.flushall()

    store.watch.known_id = KnownStores(settings.data_dir).recall("redis://:secret@lab/0")

    assert "emptied" in kinds(store)
    assert "secret" not in (settings.data_dir / "stores.json").read_text()
    assert KnownStores(settings.data_dir).recall("redis://elsewhere/0") == ""


@pytest.mark.parametrize("content", ["", "[]", "{", "\x00"])
def test_damaged_memory_is_none(settings: Settings, content: str) -> None:
    """A damaged memory of stores counts as none: it only ever adds a warning."""
    settings.data_dir.mkdir()
    (settings.data_dir / "stores.json").write_text(content)
    memory = KnownStores(settings.data_dir)

    assert memory.recall("x") == ""
    memory.keep("x", "1")
    assert memory.recall("x") == "1"


def test_one_danger_is_one_line(store: LabStore, caplog: pytest.LogCaptureFixture) -> None:
    """A danger is one log line, however often it is looked at, and its end is one more."""
    caplog.set_level(logging.INFO)
    store.watch.look()
    store.script.redis.flushall()
    for _ in range(3):
        store.watch._due_s = 0
        store.watch.look_when_due()
    assert [r.message.partition(":")[0] for r in caplog.records].count(
        "the store was emptied or replaced before "
        + str(caplog.records[-1].message).partition("before ")[2].partition(":")[0]
    ) == 1

    store.script.redis.hset(store.script.key("store"), "emptied_s", "1")
    store.watch._due_s = 0
    store.watch.look_when_due()
    assert caplog.records[-1].message == "store: emptied no more"


def test_metric_tells_the_kind(store: LabStore) -> None:
    """A metric has each kind of danger, with 0 where it does not hold."""
    registry = CollectorRegistry()
    metrics = CustodianMetrics(registry)
    metrics.store_looked_at({"evicts"})

    text = generate_latest(registry).decode()
    assert 'edgeprof_store_danger{kind="evicts"} 1.0' in text
    assert 'edgeprof_store_danger{kind="emptied"} 0.0' in text


@pytest.mark.e2e
def test_boards_and_a_waiting_client_say_so(
    rig: Rig, make_spec: Callable[..., JobSpec], wait_until: Callable[..., None]
) -> None:
    """`edgeprof boards` warns; who waits for a job that is gone learns it, with exit code 3."""
    rig.store.watch.look()
    job = rig.submit(make_spec(), notify=False)
    environment = {**os.environ, **rig.settings.as_environment()}
    waiting = subprocess.Popen(
        [*CLI, "watch", job.id], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    redis = rig.store.script.redis

    def looks() -> int:
        return int(redis.info("commandstats")["cmdstat_evalsha"]["calls"])

    before = looks()
    wait_until(lambda: looks() > before + 20, "it follows the job")
    redis.flushall()

    said, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 3, said
    assert b"not in the store any more" in said
    with pytest.raises(JobNotFound):
        job.wait(timeout=60)
    rig.store.watch.look()
    boards = subprocess.run(
        [*CLI, "boards"], env=environment, capture_output=True, text=True, check=False
    )
    assert "the store was emptied" in boards.stderr
