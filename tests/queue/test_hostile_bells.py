"""Whatever stands on a queue, the same worker process carries out the job behind it: doorbells are
judged before kombu and Celery see them."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeprof.shared.queue import doorbell
from edgeprof.shared.store.job_values import Doorbell
from edgeprof.shared.types.job import JobSpec, JobState
from tests.queue import hostile
from tests.support.doorbell_lab import QUEUE, Lab
from tests.support.null_lab import Rig

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def a_doorbell(job_id: str = "ghost", queue: str = QUEUE, step: int = 5) -> str:
    return doorbell.write(
        Doorbell(job_id, queue, TRACEPARENT, "m F32 on null, 3+1 tokens x 1"), step
    )


def is_doorbell(message: bytes) -> bool:
    try:
        return bool(doorbell.read(message, QUEUE))
    except doorbell.NotADoorbellError:
        return False


@pytest.fixture
def lab(rig: Rig, make_spec: Callable[..., JobSpec]) -> Iterator[Lab]:
    made = Lab(rig, make_spec)
    yield made
    made.metrics.close()


def test_a_doorbell_is_read_as_it_was_written() -> None:
    """A doorbell is read as it was written, with every id, label and priority that a job may
    have."""
    for step in range(10):
        for label, trace in (
            ("", ""),
            ("m Q8_0 on board-1, 3+1 tokens x 2 and 4 more", TRACEPARENT),
        ):
            written = doorbell.write(Doorbell("a" * 64, "board." + "b" * 64, trace, label), step)
            assert doorbell.read(written.encode(), "board." + "b" * 64) == written
            assert len(written) < doorbell.LARGEST_BYTES


@settings(max_examples=500)
@given(hostile.damaged(a_doorbell()))
def test_what_is_read_is_what_we_write(message: bytes) -> None:
    """A reader passes on a doorbell of its queue in our own writing, or nothing, whatever is on the
    queue."""
    try:
        read = doorbell.read(message, QUEUE)
    except doorbell.NotADoorbellError:
        return
    told = json.loads(read)
    headers, properties = told["headers"], told["properties"]
    sent = Doorbell(headers["id"], QUEUE, headers["traceparent"], headers["argsrepr"])
    assert read == doorbell.write(sent, properties["priority"], properties["delivery_tag"])


@pytest.mark.e2e
def test_every_field_and_type(lab: Lab) -> None:
    """Each place of a doorbell with each value, removed, or with a field more: dropped, counted,
    and no restart."""
    wrong = 0
    for what, batch in hostile.each(a_doorbell()):
        before = lab.worker.pid
        lab.push(*batch)
        lab.serve()
        lab.until_read()
        assert lab.worker.pid == before, what
        wrong += sum(not is_doorbell(message) for message in batch)
    assert wrong > 1000
    lab.rig.wait_until(
        lambda: lab.dropped("malformed") + lab.dropped("large") == wrong, "they are counted"
    )
    assert lab.redis.keys("edgeprof:doorbell:*") == []


@pytest.mark.e2e
def test_anything_made_from_a_doorbell(lab: Lab) -> None:
    """Batches of generated messages, an honest job behind each; on failure the smallest batch is
    shown."""

    @settings(max_examples=60)
    @given(st.lists(hostile.damaged(a_doorbell()), min_size=1, max_size=30), st.integers(0, 9))
    def behind(messages: list[bytes], step: int) -> None:
        lab.push(*messages, step=step)
        lab.serve()

    behind()


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.e2e
def test_nothing_is_unpickled(lab: Lab, tmp_path: Path) -> None:
    """A message cannot have anything unpickled, run another task, or name a job that climbs out of
    a folder."""
    owned = tmp_path / "owned"
    pickled = base64.b64encode(pickle.dumps(((Touch(owned),), {}, {}))).decode()
    whole = json.loads(a_doorbell())
    lab.push(
        json.dumps(whole | {"body": pickled, "content-type": "application/x-python-serialize"}),
        a_doorbell().replace("edgeprof.profile", "celery.backend_cleanup"),
        a_doorbell("../../x"),
    )
    lab.serve()
    lab.until_read()

    lab.rig.wait_until(lambda: lab.dropped("malformed") == 3, "they are counted")
    assert not owned.exists()


@pytest.mark.e2e
def test_a_flood_with_times_fills_no_memory(lab: Lab) -> None:
    """10,000 messages to be remembered until 2099, large and small: the worker grows by less than
    30 MiB."""
    lab.serve()
    before = lab.memory_mib()
    whole = json.loads(a_doorbell())
    for size, count in ((20_000, 2_000), (1_000, 8_000)):
        headers = whole["headers"] | {"eta": "2099-01-01T00:00:00+00:00", "argsrepr": "x" * size}
        late = json.dumps(whole | {"headers": headers})
        for _ in range(count // 1000):
            lab.push(*[late] * 1000)
    lab.serve(timeout_s=30)
    lab.until_read()

    assert lab.memory_mib() < before + 30
    lab.rig.wait_until(
        lambda: (lab.dropped("large"), lab.dropped("malformed")) == (2_000, 8_000), "all counted"
    )


@pytest.mark.e2e
def test_a_huge_message_is_never_held(lab: Lab) -> None:
    """100 MB pass through the worker a piece at a time: its peak stays where it was."""
    lab.serve()
    peak = lab.memory_mib("VmHWM")
    lab.push(b"x" * 100_000_000, a_doorbell("after"))
    lab.serve()

    assert lab.memory_mib("VmHWM") < peak + 20
    assert lab.dropped("large") == 1


@pytest.mark.e2e
def test_a_burst_of_doorbells_for_nothing(lab: Lab) -> None:
    """100,000 well-formed doorbells of no job, before all others: jobs of both queues are served at
    once."""
    before = lab.memory_mib()
    for _ in range(100):
        lab.push(*[a_doorbell("ghost", step=0)] * 1000, step=0)
    for board in (None, "null-01") * 5:
        lab.serve(timeout_s=10, board=board)

    assert lab.rig.store.doorbells.waiting(QUEUE) > 50_000
    assert lab.memory_mib() < before + 30


@pytest.mark.e2e
def test_a_doubled_doorbell_does_no_job_twice(lab: Lab) -> None:
    """A doubled or late doorbell does no job twice."""
    job = lab.rig.submit(lab.make_spec(), notify=False)
    lab.push(*[a_doorbell(job.id)] * 200)
    lab.serve()
    lab.until_read()

    assert len(job.view().attempts) == 1


@pytest.mark.e2e
def test_a_doorbell_of_another_queue_moves_no_job(lab: Lab) -> None:
    """A doorbell for another queue, or for a job of another board, moves no job."""
    other = lab.rig.submit(lab.make_spec(board="other-1"), notify=False)
    lab.push(a_doorbell(other.id, queue="board.other-1"), a_doorbell(other.id))
    lab.serve()
    lab.until_read()

    assert other.status is JobState.QUEUED
    assert lab.rig.store.doorbells.waiting("board.other-1") == 0
    lab.rig.wait_until(lambda: lab.dropped("malformed") == 1, "one is counted")


def test_a_record_in_anothers_words_still_gets_a_doorbell() -> None:
    """A record with a foreign label or traceparent still gets a doorbell, without that field."""
    for label, trace in (('"', "x"), ("\n", "\udcff"), ("x" * 5000, "0" * 5000)):
        written = doorbell.write(Doorbell("a", QUEUE, trace, label), 0)
        assert doorbell.read(written.encode(), QUEUE) == written


@pytest.mark.parametrize("label", ["<body>", "<tag>", "a <id> b"])
def test_a_label_is_no_place_of_the_template(label: str) -> None:
    """Somebody else's record may hold such a label; the doorbell is then the one without a
    label."""
    with_label, without = (
        doorbell.write(Doorbell("a", QUEUE, "", text), 0, "0" * 8 + "-0000" * 3 + "-" + "0" * 12)
        for text in (label, "")
    )

    assert with_label == without
