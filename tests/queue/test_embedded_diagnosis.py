"""An embedded Redis that is there and unhappy: everybody says what is wrong, soon."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable

import pytest

from edgeprof.client import Lab
from edgeprof.shared.errors import StoreRefused, StoreUnavailable
from edgeprof.shared.redis.embedded import files
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec, JobState
from tests.support.embedded_redis import Embedded, refusal
from tests.support.redis_process import RedisProcess


def test_stopped_server_is_named_within_seconds(embedded: Embedded) -> None:
    """SIGSTOP: every command says so within three seconds, and the server is the same
    afterwards."""
    pid = embedded.start()
    embedded.signal(signal.SIGSTOP)

    began_s = time.monotonic()
    refusal(embedded)
    took_s = time.monotonic() - began_s
    said = embedded.edgeprof("jobs")

    assert said.returncode == 3
    assert f"pid {pid}" in said.stderr
    assert "SIGSTOP" in said.stderr
    assert f"kill -CONT {pid}" in said.stderr
    assert took_s < 2.5  # the start of Python comes to it
    embedded.signal(signal.SIGCONT)
    assert embedded.edgeprof("jobs").returncode == 0
    assert embedded.pid == pid


def test_busy_server_is_not_taken_for_gone(embedded: Embedded) -> None:
    """A server that works and answers nothing: the pid, and how to look at it."""
    pid = embedded.start()
    server = files.remembered(embedded.folder)[0]
    with socket.create_connection(("127.0.0.1", server.port)) as busy:
        busy.sendall(f"AUTH {server.password}\r\n".encode())
        assert busy.recv(5) == b"+OK\r\n"
        busy.sendall(b'EVAL "while true do end" 0\r\n')
        silent = refusal(embedded)
        # After five seconds of a script Redis answers again, and says that it is busy.
        embedded.wait_until(lambda: "busy" in str(refusal(embedded)), "it is told as busy")

    assert f"(pid {pid}) does not answer" in str(silent)
    assert f"-p {pid}" in str(silent.hint)
    assert embedded.pid == pid


def test_stopped_redis_of_a_url_is_told_within_seconds(
    settings: Settings, redis_process: RedisProcess
) -> None:
    """A Redis that is not ours gets two seconds for a person's first question, so that the command
    ends within three; workers and schedulers wait longer."""
    redis_process.start()
    with redis_process.connect() as redis:
        pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            Lab(redis_process.url, settings)
        took_s = time.monotonic() - began_s
        began_s = time.monotonic()
        with pytest.raises(StoreUnavailable, match="does not answer"):
            LabStore.open(settings.model_copy(update={"redis_url": redis_process.url}))
        service_s = time.monotonic() - began_s
    finally:
        os.kill(pid, signal.SIGCONT)

    assert took_s < 2.5
    assert 3.9 < service_s < 6


def test_server_with_too_many_clients_is_there(embedded: Embedded) -> None:
    """A server that refuses one client too many counts as there, and its refusal is shown in its
    own words."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.config_set("maxclients", 1)
        error = refusal(embedded)

    assert "max number of clients" in str(error)
    assert embedded.pid == pid


def test_full_disk_is_said_and_nothing_is_lost(
    embedded: Embedded, make_spec: Callable[..., JobSpec]
) -> None:
    """Full: submit raises, the first time too; what was submitted before is there after a kill
    -9."""
    pid = embedded.start()
    with LabStore.open(embedded.settings) as store:
        safe = NewJob(make_spec())
        store.jobs.submit([safe], "test")
        embedded.full()
        for _ in range(2):
            with pytest.raises(StoreRefused, match="cannot write: its disk is full"):
                store.jobs.submit([NewJob(make_spec())], "test")

    said = embedded.edgeprof("jobs")
    assert said.returncode == 3
    assert "disk is full" in said.stderr
    assert "hint: free space" in said.stderr
    assert embedded.pid == pid

    embedded.kill()
    with LabStore.open(embedded.settings) as store:
        assert store.jobs.ids() == [safe.id]


def test_disk_with_room_again(embedded: Embedded, make_spec: Callable[..., JobSpec]) -> None:
    """Space was freed: the same server takes jobs again, without a restart."""
    pid = embedded.start()
    with LabStore.open(embedded.settings) as store:
        embedded.full()
        with pytest.raises(StoreRefused):
            store.jobs.submit([NewJob(make_spec())], "test")
        embedded.roomy()
        redis = store.script.redis
        embedded.wait_until(
            lambda: redis.info("persistence")["aof_last_write_status"] == "ok", "it writes again"
        )
        job = NewJob(make_spec())
        store.jobs.submit([job], "test")
        assert store.jobs.state(job.id) is JobState.QUEUED
    assert embedded.pid == pid


def test_out_of_memory_is_said(embedded: Embedded, make_spec: Callable[..., JobSpec]) -> None:
    """maxmemory reached: the job is not submitted, and the message says why."""
    embedded.start()
    with LabStore.open(embedded.settings) as store:
        store.script.redis.config_set("maxmemory", 1)
        with pytest.raises(StoreRefused, match="out of memory"):
            store.jobs.submit([NewJob(make_spec())], "test")
        assert store.jobs.ids() == []
