"""The small parts of a worker host: board files, locks, model cache, logs, settings, tracing."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.errors import HostFault, JobError, UsageError
from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.url import SentinelUrl, masked
from edgeprof.shared.settings import Settings, load_settings
from edgeprof.shared.store.blobs import ModelCache
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import logs, tracing
from edgeprof.shared.telemetry.context_fields import bound_job
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.job import JobSpec
from edgeprof.workers.board.config import load_boards
from edgeprof.workers.board.locks import BoardLock
from tests.support.jobs import ref_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[board]]\n", "board 1: a board needs a url"),
        ("[[board]]\nurl='x'\nid='no spaces'\n", "board 1: id is 'no spaces'"),
        ("[[board]]\nurl='x'\nspeed=1\n", "board 1: unknown key 'speed'"),
        ("[[board\n", "not TOML"),
        ("", "names no boards"),
        ("[[board]]\nid='a'\n", "needs a url"),
        ("[[board]]\nuid='0a'\n", "no ports are watched"),
        ("[[board]]\nurl='x'\nreset='hard'\n", "reset"),
        ("[[board]]\nurl='x'\n[[board]]\nurl='x'\n", "two boards have the url 'x'"),
        ("[[board]]\nurl='x'\nid='a'\n[[board]]\nurl='y'\nid='a'\n", "two boards have the id 'a'"),
    ],
)
def test_bad_board_file_names_file_and_key(tmp_path: Path, text: str, words: str) -> None:
    """One line that says where to look."""
    path = tmp_path / "boards.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        load_boards(path, [])

    assert words in str(caught.value)


def test_boards_come_from_file_and_command_line(tmp_path: Path) -> None:
    """--board adds to boards.toml."""
    path = tmp_path / "boards.toml"
    path.write_text('[[board]]\nurl = "/dev/ttyACM0"\nid = "a"\nflash = ["tool", "{slot}"]\n')

    boards = load_boards(path, ["native://?uid=01"]).board

    assert [board.url for board in boards] == ["/dev/ttyACM0", "native://?uid=01"]
    assert boards[0].flash == ("tool", "{slot}")


def test_without_a_list_what_is_plugged_in_is_driven() -> None:
    """All USB serial ports, under the names that outlive a replug."""
    boards = load_boards(None, [])

    assert (boards.watch, boards.board) == (("/dev/serial/by-id/*",), ())


def test_claimed_board_is_refused_and_names_the_holder(tmp_path: Path) -> None:
    """Two claims of one name in one lock folder: the second is told whose it is."""
    with BoardLock(tmp_path) as first, BoardLock(tmp_path) as second:
        first.take("uid", "00aa")
        first.take("uid", "00aa")
        with pytest.raises(HostFault, match=f"process {os.getpid()}"):
            second.take("uid", "00aa")
        first.close()
        second.take("uid", "00aa")

        assert first.lock_domain == second.lock_domain


def test_lock_names_from_outside_never_become_paths(tmp_path: Path) -> None:
    """A uid that looks like a path stays one file in the folder."""
    with BoardLock(tmp_path / "locks") as claim:
        claim.take("uid", "../../escaped")

    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_model_travels_once_and_is_checked_at_each_use(store: LabStore, tmp_path: Path) -> None:
    """Fetched from the store, kept on the host, fetched again when the copy has rotted."""
    content = os.urandom(5000)
    model = ref_of(content)
    cache = ModelCache(tmp_path / "cache", store.blobs)

    assert store.blobs.put("m", content, model.sha256, 60)
    assert not store.blobs.put("m", content, model.sha256, 60)
    path = cache.fetch(model)
    assert path.read_bytes() == content
    path.write_bytes(b"rotten")

    assert cache.fetch(model).read_bytes() == content


def test_missing_and_damaged_models_are_job_faults(store: LabStore, tmp_path: Path) -> None:
    """Neither is measured nor tried again: no host would find another file in the store, and whoever
    spoils files there must not have hosts cordoned for it."""
    cache, model = ModelCache(tmp_path, store.blobs), ref_of(b"right")
    with pytest.raises(JobError) as missing:
        cache.fetch(model)
    store.script.redis.set(f"edgeprof:blob:{model.sha256}", b"wrong")
    with pytest.raises(JobError) as damaged:
        cache.fetch(model)

    assert (missing.value.code, damaged.value.code) == ("blob_missing", "blob_damaged")


def test_model_over_the_limit_is_refused_at_submit(store: LabStore) -> None:
    """The limit, the size and the setting are in the message."""
    with pytest.raises(UsageError, match="68,157,440") as caught:
        store.blobs.put("big", bytes(65 * 1024 * 1024), "0" * 64, 60)

    assert "EDGEPROF_BLOB_LIMIT_BYTES" in str(caught.value.hint)


def test_log_lines_are_json_with_the_labs_fields(settings: Settings, tmp_path: Path) -> None:
    """The seed's fields, ECS names, our context and the trace id, in a file of this process."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(settings.model_copy(update={"log_dir": tmp_path / "logs"}), "edgeprof-test")
        with bound_job("job1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
            logs.operations.info("Device connected", extra={"device_id": "b1", "odd": {1, 2}})
        path = tmp_path / "logs" / f"profiler-testhost-{os.getpid()}.jsonl"
        line = json.loads(path.read_text())
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers[:] = before
        root.setLevel(level)

    assert line["message"] == "Device connected"
    assert line["device_id"] == "b1"
    assert line["job_id"] == "job1"
    assert line["trace.id"] == "0af7651916cd43dd8448eb211c80319c"
    assert {"timestamp", "level", "module", "function", "line", "@timestamp"} <= line.keys()


def test_log_folder_that_cannot_be_written_is_not_fatal(settings: Settings, tmp_path: Path) -> None:
    """Profiling goes on without the file."""
    (tmp_path / "file").touch()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        logs.configure(settings.model_copy(update={"log_dir": tmp_path / "file"}), "edgeprof-test")
        assert len(root.handlers) == 1
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def test_bad_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not pydantic's words but the variable the user typed."""
    monkeypatch.setenv("EDGEPROF_LEASE_S", "soon")
    with pytest.raises(UsageError, match="EDGEPROF_LEASE_S"):
        load_settings()


def test_settings_reach_a_child_unchanged(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """as_environment() is read back as the same settings."""
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)

    assert load_settings() == settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:p%40w@h/0", "rediss://me:***@h/0"),
        ("redis://h:1", "redis://h:1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis+sentinel://me:pw@a,b:1/0?master=m", "redis+sentinel://me:***@a,b:1/0?master=m"),
        ("rediss://h/0?ssl_password=pw&x=1", "rediss://h/0?ssl_password=***&***"),
        ("redis:/:pw@h/0", "***"),
        (":pw@h", "***@h"),
        ("redis://:a@b:pw@h", "redis://:***@h"),
        ("redis://:p/w?p#w@h", "redis://:***@h"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    """No message or log shows a password."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:12#s3cret@h:1/0",
        "redis://:s3c/ret@h/0",
        "redis://:12?s3cret@h/0",
        "redis://:s3cret@h:port/0",
        "redis://:s3cret@[::1/0",
        ":s3cret@h",
        "redis:s3cret@h",
    ],
)
def test_a_malformed_url_shows_no_password(url: str) -> None:
    """Half of a password would be taken for the port, and shown in an error."""
    with pytest.raises(UsageError) as refused:
        redis_client.client(url)

    text = f"{refused.value} {refused.value.hint}"
    assert not [part for part in ("s3c", "ret", "12") if part in text]


def test_objects_show_no_password(settings: Settings) -> None:
    """Whoever logs one."""
    url = "redis://:s3cret@h/0"
    secrets = {"redis_url": url, "archive_url": url, "alerts_token": "s3cret"}
    changed = settings.model_copy(update=secrets)

    shown = [changed, redis_server.Endpoint(url, embedded=False), SentinelUrl((), "m", 0, "u", url)]
    assert "s3cret" not in repr(shown) + str(shown)


@pytest.mark.parametrize(
    "traceparent",
    ["", "a-b-c-d", f"00-{'x' * 200}-{'0' * 16}-01", f"00-{'A' * 32}-{'0' * 16}-01", "0-0-0-0-0"],
)
def test_only_a_trace_id_is_one(traceparent: str) -> None:
    """It becomes an exemplar, of which prometheus_client takes no more than 128 characters."""
    assert trace_id_of(traceparent) == ""
    assert trace_id_of(f"00-{'a' * 32}-{'0' * 16}-01") == "a" * 32


def test_trace_exists_without_a_collector(make_spec: Callable[..., JobSpec]) -> None:
    """Each job has a trace id of its own, at no cost, for logs and for workers that do export."""
    first, second = (tracing.submit_traceparent("id", make_spec()) for _ in range(2))

    assert first != second
    assert [len(part) for part in first.split("-")] == [2, 32, 16, 2]
