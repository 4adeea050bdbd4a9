"""Size and depth of every message that goes through Redis: at the limit it is understood, beyond it
is refused."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from redis.exceptions import ResponseError

from edgeprof.shared.errors import BoardFault, HostFault, JobError
from edgeprof.shared.store.blobs import BlobStore, ModelCache
from edgeprof.shared.store.hosts import HostInfo
from edgeprof.shared.store.job_values import Claim, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types import job, wire
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.worker.attempt import storable
from tests.support.finished_job import job_result
from tests.support.jobs import MODEL, WIDEST, largest, make_spec

BOARD: dict[str, Any] = {
    "device_id": "b", "platform": "null", "host": "h", "lock_domain": "d", "lease_s": 60,
}  # fmt: skip


def case(n_prompt: int = 1, n_gen: int = 1, token: int = 1) -> TestCase:
    return TestCase(prompt_tokens=(token,) * n_prompt, n_gen=n_gen)


def scoring(windows: list[list[int]], top1: Any = None) -> dict[str, Any]:
    return {
        "text": "t", "text_sha256": "0" * 64, "windows": windows, "unquantized_top1": top1,
    }  # fmt: skip


def test_the_largest_job_is_understood(store: LabStore) -> None:
    """A valid job is never refused for its size when it is submitted, claimed or shown."""
    spec = largest()
    job = NewJob(spec)
    store.jobs.submit([job], "test")

    claimed = store.jobs.claim(job.id, "w", **BOARD)
    assert isinstance(claimed, Claim)
    assert claimed.spec == spec
    assert store.jobs.view(job.id).user == spec.user


@pytest.mark.parametrize(
    "changes",
    [
        {"cases": [case()] * 65},
        {"cases": [case(4096)] * 4 + [case()]},
        {"cases": [case(1, 4096)] * 5},
        {"cases": [{"prompt_tokens": [1] * 4097}]},
        {"cases": [{"prompt_tokens": [WIDEST + 1]}]},
        {"cases": [{"prompt_tokens": [1], "unquantized_top1": [1]}]},
        {"cases": [case()] * 5, "repetitions": 1000},
        {"user": "u" * 65},
        {"user": "two\nlines"},
        {"user": "\x1b]0;title\x07"},
        {"tags": {f"t{index}": "" for index in range(job.MAX_TAGS + 1)}},
        {"tags": {"t": "x" * 257}},
        {"tags": {"t": "\x1b[2J"}},
        {"tags": {"no name": ""}},
        {"cases": [case().model_dump() | {"prompt_text": "x" * 16385}]},
        {"cases": [case().model_dump() | {"prompt_text": "x" * 8193}] * 2},
        {"cases": [case().model_dump() | {"scoring": scoring([[1] * 4097])}]},
        {"cases": [case().model_dump() | {"scoring": scoring([[1]])}]},
        {"cases": [case().model_dump() | {"scoring": scoring([[1] * 65] * 65)}]},
        {"cases": [case().model_dump() | {"scoring": scoring([[1] * 2] * 513)}]},
        {"cases": [case().model_dump() | {"scoring": scoring([[1, 2]], [[1, 2]])}]},
        {"cases": [case().model_dump() | {"scoring": scoring([[1, 2]])}] * 2},
        {"cases": [case().model_dump() | {"scoring": scoring([[1] * 99])}], "n_ctx": 98},
        {"source": "x" * 65},
        {"source": "two\nlines"},
        {"schema_version": 99},
        {"sweep_id": "../x"},
        {"model": MODEL.model_dump() | {"url": "file:///etc/passwd"}},
        {"model": MODEL.model_dump() | {"name": "../../x"}},
        {"model": MODEL.model_dump() | {"name": "x\n"}},
        {"model": MODEL.model_dump() | {"sha256": "../" + "0" * 61}},
        {"model": MODEL.model_dump() | {"size_bytes": 1 << 40}},
        {"target": {"device_id": "$(reboot)"}},
        {"unknown": 1},
    ],
)
def test_a_job_beyond_a_limit_is_refused(changes: dict[str, Any]) -> None:
    """A job beyond a limit is refused at the edge, before anything is queued."""
    with pytest.raises(ValidationError):
        JobSpec.model_validate(make_spec().model_dump() | changes)


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    "record",
    [
        nested(100_000),
        '{"model": ' + nested(300) + "}",
        '{"repetitions": ' + "9" * 5000 + "}",
        " " * JobSpec.largest_bytes + "{}",
        "not JSON",
        "",
    ],
    ids=["deep", "deep inside", "a number", "large", "no JSON", "empty"],
)
def test_a_record_of_anything_ends_its_job(store: LabStore, record: str) -> None:
    """Written past our client, it is failed by the worker, for good, and nobody's list breaks."""
    job, good = NewJob(make_spec()), NewJob(make_spec())
    store.jobs.submit([job, good], "test")
    store.script.redis.hset(f"edgeprof:job:{job.id}", "spec", record)

    answer = store.jobs.claim(job.id, "w", **BOARD)

    assert answer == "malformed" or (isinstance(answer, Claim) and answer.job_id == good.id)
    assert store.jobs.state(job.id) is JobState.FAILED
    assert [view.id for view in store.jobs.views([job.id, good.id])] == [good.id]


def test_an_id_is_never_a_path(store: LabStore) -> None:
    """A job whose id climbs out of a folder is ended, and never becomes the name of a file."""
    job = NewJob(make_spec(), id="../../escaped")
    store.jobs.submit([job], "test")

    assert store.jobs.claim(job.id, "w", **BOARD) == "gone"
    assert store.jobs.state(job.id) is JobState.FAILED


def test_scripts_take_no_deep_json(store: LabStore) -> None:
    """Redis' own decoder stops at 1000 levels, with an error and not with the server."""
    with pytest.raises(ResponseError, match="too many nested"):
        store.script.redis.eval("return cjson.decode(ARGV[1])", 0, nested(1001))
    assert store.script.redis.ping()


@pytest.mark.parametrize("kind", [JobSpec, JobResult, BoardInfo, HostInfo])
def test_nothing_is_parsed_beyond_its_size(kind: type[wire.WireModel]) -> None:
    """JSON is not parsed beyond its limit of size, nor deeper than 200 levels."""
    with pytest.raises(ValueError, match="more than a"):
        kind.read("{" + " " * kind.largest_bytes + "}")
    with pytest.raises(ValueError, match="recursion limit"):
        kind.read(nested(1000))


def result(make: Callable[[], JobResult], **changes: Any) -> JobResult:
    made = make()
    return made.model_copy(update={"cases": (made.cases[0].model_copy(update=changes),)})


@pytest.mark.parametrize(
    "changes",
    [
        {"inter_token_p50_s": float("nan"), "run_host_s": None},
        {"text": "x" * JobResult.largest_bytes},
        {"text": "\udcff"},
    ],
    ids=["NaN", "large", "no Unicode"],
)
def test_a_result_that_cannot_be_read_back_is_none(changes: dict[str, Any]) -> None:
    """A result that no archive could take is refused, else it would stay in the store for ever."""
    good = job_result(MODEL, "native")
    assert storable(good) is good
    with pytest.raises(BoardFault) as caught:
        storable(result(lambda: good, **changes))

    assert caught.value.code == "bad_result"
    assert len(str(caught.value)) < 400


def test_a_huge_result_in_redis_is_not_parsed(store: LabStore) -> None:
    """A job with a huge result is left out of lists; the others are shown."""
    job = NewJob(make_spec())
    store.jobs.submit([job], "test")
    store.script.redis.set(f"edgeprof:work:{job.id}:result", b" " * (JobResult.largest_bytes + 1))
    store.script.redis.hset(f"edgeprof:job:{job.id}", "state", "succeeded")

    assert store.jobs.views([job.id]) == []


def test_reasons_are_short_lines(store: LabStore) -> None:
    """A reason is a short line of valid Unicode, whatever a tool or a board said."""
    job = NewJob(make_spec(max_attempts=1))
    store.jobs.submit([job], "test")
    claimed = store.jobs.claim(job.id, "w", **BOARD)
    assert isinstance(claimed, Claim)

    store.jobs.fail(job.id, claimed.epoch, HostFault("\x1b[2Ja\nb\udcff" + "x" * 10**6))

    reason = store.jobs.view(job.id).reason
    assert "[2Ja | b?x" in reason
    assert len(reason) < 2100
    assert reason.isprintable()


def test_announcements_of_anything_are_left_out(store: LabStore) -> None:
    """One bad announcement takes no other off the lists of boards and hosts."""
    good = HostInfo(host="a", pid=1, sessions_address="a:1", devices_address="a:2")
    store.hosts.announce(good)
    redis = store.script.redis
    for index, text in enumerate(("{", nested(300), "x" * 10**5, '{"host": "a\\nb"}')):
        redis.hset("edgeprof:hosts", f"h{index}", text)
        redis.hset("edgeprof:boards", f"b{index}", text)
        redis.hset("edgeprof:boards:seen", f"b{index}", "1")
        redis.zadd("edgeprof:boards:until", {f"b{index}": 0})

    assert store.hosts.all() == [good.model_copy(update={"fresh": True})]
    assert store.boards.all() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("sessions_address", "a:1/x"), ("devices_address", "a b:1"), ("host", "a\n"), ("pid", 0)],
)
def test_a_hosts_address_is_one(field: str, value: Any) -> None:
    """Prometheus is told to scrape it."""
    known = {"host": "a", "pid": 1, "sessions_address": "a:1", "devices_address": "a:2"}

    HostInfo.model_validate(known)
    with pytest.raises(ValidationError):
        HostInfo.model_validate(known | {field: value})


def test_a_blob_of_another_size_is_not_fetched(store: LabStore, tmp_path: Path) -> None:
    """Half a gigabyte under the hash of a small model never reaches a worker's memory."""
    model = ModelRef.model_validate(MODEL.model_dump() | {"size_bytes": 5})
    store.script.redis.set(f"edgeprof:blob:{model.sha256}", b"too long")

    with pytest.raises(JobError) as caught:
        ModelCache(tmp_path, store.blobs).fetch(model)

    assert caught.value.code == "blob_damaged"


def test_a_job_says_of_its_model_what_the_file_says(tmp_path: Path) -> None:
    """A result would repeat a false size or type for ever."""
    from edgeprof.shared.models import catalogue
    from edgeprof.workers.worker.fetch_and_profile import check_model

    model = catalogue.resolve("shakespeare-240k")
    check_model(model.ref.model_copy(update={"name": "called-otherwise"}), model)

    with pytest.raises(JobError, match="n_params 1 of its model"):
        check_model(model.ref.model_copy(update={"n_params": 1}), model)


def test_history_takes_no_deep_json(store: LabStore) -> None:
    """A line that nests is refused as a value, not by the interpreter's stack, and hides no
    other."""
    job = NewJob(make_spec())
    store.jobs.submit([job], "test")
    store.script.redis.rpush(f"edgeprof:job:{job.id}:history", nested(100_000))

    assert [line.reason for line in store.jobs.history(job.id)] == ["submitted"]
    with pytest.raises(RecursionError):
        json.loads(nested(100_000))  # why json is not used there


@pytest.mark.parametrize("command", ["SET", "RPUSH", "SADD"])
def test_a_blob_that_was_written_over_is_uploaded_again(
    store: LabStore, tmp_path: Path, command: str
) -> None:
    """A worker says that it is damaged and to submit again: then that has to mend it."""
    sha256 = hashlib.sha256(b"weights").hexdigest()
    model = make_spec().model.model_copy(update={"sha256": sha256, "size_bytes": 7})
    assert store.blobs.put("m", b"weights", sha256, 60)
    assert not store.blobs.put("m", b"weights", sha256, 60)
    key = f"edgeprof:blob:{model.sha256}"
    store.script.redis.delete(key)
    store.script.redis.execute_command(command, key, b"garbage")

    with pytest.raises(JobError) as caught:
        ModelCache(tmp_path, store.blobs).fetch(model)
    assert caught.value.code == "blob_damaged"
    another_client = BlobStore(store.script, 1 << 20)  # the same one looks again within a minute
    assert another_client.put("m", b"weights", sha256, 60)
    assert ModelCache(tmp_path, store.blobs).fetch(model).read_bytes() == b"weights"
