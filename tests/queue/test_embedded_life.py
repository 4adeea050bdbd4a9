"""An embedded Redis that is there and unhappy: nobody starts a second one, and everybody says what is wrong."""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from edgeprof.shared import redis_server
from edgeprof.shared.embedded import files, owner
from edgeprof.shared.errors import InfrastructureError, StoreRefused, StoreUnavailable
from edgeprof.shared.jobs import JobSpec, JobState
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.jobs import NewJob
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

    def edgeprof(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")}
        return subprocess.run(
            [sys.executable, "-m", "edgeprof.scheduler.cli", *arguments],
            env=kept | self.settings.as_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def embedded(settings: Settings, wait_until: Callable[..., None]) -> Iterator[Embedded]:
    """Settings without a URL; whatever they start is killed."""
    made = Embedded(settings.model_copy(update={"redis_url": None}), wait_until)
    yield made
    if made.folder.exists():
        redis_server.stop(made.settings, force=True)


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
        LabStore.open(embedded.settings).close()
    assert "\n" not in str(caught.value)
    assert caught.value.hint
    return caught.value


# --- one server


def test_lock_lives_as_long_as_the_server(embedded: Embedded) -> None:
    """The lock names the server's own process; it is free when that was killed."""
    pid = embedded.start()
    with embedded.client() as redis:
        assert redis.info("server")["process_id"] == pid

    embedded.kill()

    assert embedded.start() != pid


def test_killed_servers_child_blocks_nothing(embedded: Embedded) -> None:
    """The child that rewrites the append-only file outlives its server: the next one starts all the same."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.set("kept", "yes")
        redis.config_set("rdb-key-save-delay", 10_000_000)
        redis.bgrewriteaof()
    children = Path(f"/proc/{pid}/task/{pid}/children")
    embedded.wait_until(children.read_text, "the file is rewritten")
    child = int(children.read_text().split()[0])
    embedded.kill()
    try:
        assert Path(f"/proc/{child}").exists()
        embedded.start()
        with embedded.client() as redis:
            assert redis.get("kept") == b"yes"
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("harm", ["deleted", "damaged", "stale"])
def test_living_server_is_found_without_server_json(embedded: Embedded, harm: str) -> None:
    """Its configuration says the same as server.json, which is then mended."""
    pid = embedded.start()
    told = embedded.folder / "server.json"
    whole = told.read_text()
    if harm == "deleted":
        told.unlink()
    elif harm == "damaged":
        told.write_text('{"port": "x", ')
    else:
        told.write_text(json.dumps({"port": 1, "password": "another", "folder": ""}))

    assert embedded.start() == pid
    assert told.read_text() == whole


def test_living_server_of_which_nothing_is_known_is_told(embedded: Embedded) -> None:
    """Both files damaged: no second server, but its pid and what to do."""
    pid = embedded.start()
    (embedded.folder / "server.json").write_text("[]")
    (embedded.folder / "redis.conf").write_bytes(b"\xff")

    error = refusal(embedded)

    assert f"pid {pid}" in str(error)
    assert f"kill {pid}" in str(error.hint)
    assert embedded.pid == pid


@pytest.mark.parametrize("lock", ["deleted", "replaced"])
def test_server_without_its_lock_file_is_seen(embedded: Embedded, lock: str) -> None:
    """A server of an older edgeprof holds no lock, and a lock file can be deleted: its folder betrays it."""
    pid = embedded.start()
    (embedded.folder / owner.LOCK).unlink()
    if lock == "replaced":
        (embedded.folder / owner.LOCK).touch()

    assert embedded.start() == pid


def test_copied_folder_is_another_lab(embedded: Embedded, tmp_path: Path) -> None:
    """A copy made while the server ran: a server of its own, which the first lab's login does not open."""
    endpoint = redis_server.locate(embedded.settings)
    with embedded.client() as redis:
        redis.set("job", "one")
    shutil.copytree(embedded.settings.data_dir, tmp_path / "copy")
    copy = embedded.settings.model_copy(update={"data_dir": tmp_path / "copy"})
    try:
        other = redis_server.locate(copy)
        assert other.started
        assert other.url.split("@")[0] != endpoint.url.split("@")[0]
        with Redis.from_url(other.url) as redis:
            assert redis.get("job") == b"one"
            redis.set("job", "two")
        with embedded.client() as redis:
            assert redis.get("job") == b"one"
    finally:
        redis_server.stop(copy)


def test_port_taken_by_another_program(
    embedded: Embedded, caplog: pytest.LogCaptureFixture
) -> None:
    """The server moves to another port, and whoever must know is told."""
    redis_server.stop(embedded.settings, force=embedded.start() > 0)
    before = files.remembered(embedded.folder)[0]
    with socket.create_server(("127.0.0.1", before.port)):
        with caplog.at_level(logging.WARNING):
            embedded.start()
        after = files.remembered(embedded.folder)[0]

    assert after.port != before.port
    assert after.password == before.password
    assert f"port {before.port} is taken" in caplog.text


def test_password_changed_under_us(embedded: Embedded) -> None:
    """A server that refuses the password we remember is there: it is named, and no second one starts."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.config_set("requirepass", "another")

    error = refusal(embedded)

    assert isinstance(error, StoreRefused)
    assert "refuses the password" in str(error)
    assert embedded.pid == pid


# --- what clients say


def test_stopped_server_is_named_within_seconds(embedded: Embedded) -> None:
    """SIGSTOP: every command says so within five seconds or so, and the server is the same afterwards."""
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
    assert took_s < 4.5  # the start of Python comes to it
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
    settings: Settings, redis_process: Any
) -> None:
    """The same bound for a Redis that is not ours: the first question is not asked for half a minute."""
    redis_process.start()
    with redis_process.connect() as redis:
        pid = redis.info("server")["process_id"]
    os.kill(pid, signal.SIGSTOP)
    began_s = time.monotonic()
    try:
        with pytest.raises(StoreUnavailable, match="does not answer"):
            LabStore.open(settings.model_copy(update={"redis_url": redis_process.url}))
    finally:
        os.kill(pid, signal.SIGCONT)

    assert time.monotonic() - began_s < 6


def test_server_with_too_many_clients_is_there(embedded: Embedded) -> None:
    """Its refusal is told in its own words."""
    pid = embedded.start()
    with embedded.client() as redis:
        redis.config_set("maxclients", 1)
        error = refusal(embedded)

    assert "max number of clients" in str(error)
    assert embedded.pid == pid


def test_full_disk_is_said_and_nothing_is_lost(
    embedded: Embedded, make_spec: Callable[..., JobSpec]
) -> None:
    """Full: submit raises, the first time too; what was submitted before is there after a kill -9."""
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
    from edgeprof.shared.embedded import start

    monkeypatch.setattr(start, "CONFIG", f"{start.CONFIG}key-load-delay {key_us}\n")


def test_loading_server_is_waited_for(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It loads for some seconds: one notice with how far it is, and then the store with all in it."""
    leave(embedded, 10_000)
    delay_loading(monkeypatch, 300)

    with caplog.at_level(logging.WARNING), LabStore.open(embedded.settings) as store:
        assert store.script.redis.dbsize() == 10_000

    assert caplog.text.count("which is loading its jobs: ") == 1


def test_server_that_loads_for_too_long_is_left_to_it(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the patience: how far it is, and no second server; stop ends it, and its jobs are kept."""
    leave(embedded, 40_000)
    delay_loading(monkeypatch, 300)
    embedded.settings = embedded.settings.model_copy(update={"store_patience_s": 1.0})

    error = refusal(embedded)
    pid = embedded.pid
    again = refusal(embedded)

    for told in (error, again):
        assert "still loading its jobs" in str(told)
        assert "%" in str(told)
    assert embedded.pid == pid
    assert redis_server.stop(embedded.settings)
    monkeypatch.undo()
    with LabStore.open(embedded.settings) as store:
        assert store.script.redis.dbsize() == 40_000


def test_slow_start_is_one_start(
    embedded: Embedded,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Many commands at once wait for the one server that is coming, and say that they wait."""
    slow_binary(tmp_path, monkeypatch, "sleep 3")
    with caplog.at_level(logging.WARNING), ThreadPoolExecutor(4) as pool:
        endpoints = list(pool.map(redis_server.locate, [embedded.settings] * 4))

    assert len({endpoint.url for endpoint in endpoints}) == 1
    assert sum(endpoint.started for endpoint in endpoints) == 1
    assert "waiting for the embedded Redis" in caplog.text


def test_start_that_hangs_is_given_up_and_not_repeated(
    embedded: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the patience the start is left to itself; the next command waits for the same one."""
    slow_binary(tmp_path, monkeypatch, "sleep 600 & wait")
    embedded.settings = embedded.settings.model_copy(update={"store_patience_s": 0.5})

    assert "still starting" in str(refusal(embedded))
    pid = embedded.pid
    assert "still starting" in str(refusal(embedded))
    assert embedded.pid == pid


def test_failed_start_is_told_in_the_servers_words(embedded: Embedded) -> None:
    """An append-only file with garbage in it: the log's last line is in the message, not only its place."""
    embedded.start()
    embedded.kill()
    for part in embedded.folder.glob("appendonlydir/*.incr.aof"):
        part.write_bytes(b"garbage\r\n" + part.read_bytes())

    error = refusal(embedded)

    assert "did not start: Bad file format" in str(error)
    assert "redis.log" in str(error.hint)


def test_program_that_is_no_program(
    embedded: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redis-server of another architecture, say: the kernel's words, at once."""
    slow_binary(tmp_path, monkeypatch, "")
    (tmp_path / "bin" / "redis-server").write_bytes(b"\x7fELF nonsense")

    assert "could not be started: Exec format error" in str(refusal(embedded))


# --- folders


def test_dangling_folder_is_named(embedded: Embedded, tmp_path: Path) -> None:
    """The data folder is a link to a disk that is not mounted: said, and where it points."""
    embedded.settings.data_dir.symlink_to(tmp_path / "not-mounted")

    error = refusal(embedded)

    assert "not-mounted" in str(error)
    assert "symbolic link" in str(error)
    assert not (tmp_path / "not-mounted").exists()


def test_folder_behind_a_link_is_the_same_folder(embedded: Embedded, tmp_path: Path) -> None:
    """Two names of one folder: one server."""
    pid = embedded.start()
    (tmp_path / "alias").symlink_to(embedded.settings.data_dir)
    alias = embedded.settings.model_copy(update={"data_dir": tmp_path / "alias"})

    assert not redis_server.locate(alias).started
    assert embedded.pid == pid


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSPC, errno.EROFS])
def test_file_system_that_refuses(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """No locks (NFS), no space, read-only: one line that names the file, never a traceback."""

    def refuse(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)

    error = refusal(embedded)

    assert os.strerror(number) in str(error)
    assert str(embedded.folder) in str(error)


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is tried by root only")
def test_folder_of_another_user(embedded: Embedded) -> None:
    """A second user learns whose folder it is, whether the server runs or not."""
    embedded.start()
    embedded.settings.data_dir.chmod(0o755)
    for part in embedded.settings.data_dir.parents:
        if part.stat().st_uid == 0 and str(part).startswith("/tmp/"):
            part.chmod(part.stat().st_mode | 0o055)
    code = (
        "import os, pwd; import edgeprof.scheduler.cli.app; from edgeprof.scheduler.cli import main\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534); main(['jobs'])"
    )
    for _ in range(2):
        said = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, **embedded.settings.as_environment()},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert said.returncode == 3, said.stderr
        assert "belongs to root" in said.stderr
        redis_server.stop(embedded.settings)


# --- stop


def test_stop_of_a_stopped_server_is_bounded(embedded: Embedded) -> None:
    """It is told to stop, cannot, and that is said; it ends when it goes on."""
    pid = embedded.start()
    embedded.signal(signal.SIGSTOP)

    began_s = time.monotonic()
    with pytest.raises(StoreUnavailable, match="SIGSTOP") as caught:
        redis_server.stop(embedded.settings)

    assert time.monotonic() - began_s < 8
    assert f"kill -CONT {pid}" in str(caught.value.hint)
    os.kill(pid, signal.SIGCONT)
    embedded.until_gone()


def test_stop_of_a_full_server_is_refused(
    embedded: Embedded, make_spec: Callable[..., JobSpec]
) -> None:
    """What it could not write would be gone: it is not stopped, and what to do is said."""
    pid = embedded.start()
    with LabStore.open(embedded.settings) as store:
        embedded.full()
        with pytest.raises(StoreRefused):
            store.jobs.submit([NewJob(make_spec())], "test")

    with pytest.raises(StoreRefused, match="was not stopped: its disk is full") as caught:
        redis_server.stop(embedded.settings)

    assert f"kill -9 {pid}" in str(caught.value.hint)
    assert embedded.pid == pid


def test_stop_trusts_no_pid_file(embedded: Embedded) -> None:
    """The server was killed, and its pid is another program's now: that one is left alone."""
    embedded.start()
    embedded.kill()
    with subprocess.Popen(["sleep", "60"]) as other:
        (embedded.folder / "redis.pid").write_text(str(other.pid))
        try:
            assert not redis_server.stop(embedded.settings)
            assert other.poll() is None
        finally:
            other.kill()


def test_start_lock_that_is_held_is_bounded(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command that was stopped while it started the server: its pid is said."""
    folder = files.open_folder(embedded.settings.data_dir)
    monkeypatch.setattr(files, "START_LOCK_LIMIT_S", 0.3)
    with files.start_lock(folder):
        assert f"pid {os.getpid()}" in str(refusal(embedded))
