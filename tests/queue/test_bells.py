"""Doorbells: what we write is what Celery would write, and only missing ones are written again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from edgeprof.scheduler.custodian import Custodian
from edgeprof.shared.queue import doorbell
from edgeprof.shared.queue.celery_app import TASK_NAME, make_app
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Doorbell, NewJob
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.job import JobSpec

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def pop(store: LabStore, queue: str, step: int) -> dict[str, Any]:
    text = store.script.redis.rpop(doorbell.list_key(queue, step))
    assert isinstance(text, bytes)
    message: dict[str, Any] = json.loads(text)
    return message


def test_doorbell_is_the_message_celery_would_write(store: LabStore) -> None:
    """Field by field; only what names the sender or is random may differ."""
    app = make_app(store.url)
    app.conf.task_send_sent_event = False

    @app.task(name=TASK_NAME)
    def profile(job_id: str) -> None: ...

    profile.apply_async(
        ("abc",),
        task_id="abc",
        queue="platform.p",
        priority=4,
        ignore_result=True,
        headers={"traceparent": TRACEPARENT},
    )
    app.close()
    theirs = pop(store, "platform.p", 4)
    store.doorbells.notify([Doorbell("abc", "platform.p", TRACEPARENT)], step=4)
    ours = pop(store, "platform.p", 4)

    for message in (ours, theirs):
        del message["headers"]["origin"], message["properties"]["reply_to"]
        del message["properties"]["delivery_tag"]
        message["headers"].pop("argsrepr")  # ours says what the job is
    assert theirs == ours


@pytest.mark.parametrize(("people", "transport"), [(9, 1), (8, 2), (5, 5), (1, 9), (0, 9)])
def test_priorities_are_reversed_and_leave_the_first_place(people: int, transport: int) -> None:
    """9 is "now" for people; in the transport 0 goes first and belongs to repeated doorbells."""
    assert transport == doorbell.transport_priority(people)


def test_doorbells_of_a_queue_are_received_in_order(store: LabStore) -> None:
    """The doorbell of a queue that was sent first is received first."""
    store.doorbells.notify([Doorbell(name, "platform.p", "") for name in "abc"], step=5)

    heard = [pop(store, "platform.p", 5)["headers"]["id"] for _ in range(3)]

    assert heard == ["a", "b", "c"]


def test_only_missing_doorbells_are_sent_again(
    store: LabStore, settings: Settings, make_spec: Callable[..., JobSpec]
) -> None:
    """Three jobs, one doorbell lost: one doorbell is sent, first in line; with all there, none
    is."""
    patient = settings.model_copy(update={"doorbell_grace_s": 1e-6})
    custodian = Custodian(store, patient)
    jobs = [NewJob(make_spec(), TRACEPARENT) for _ in range(3)]
    store.jobs.submit(jobs, "test")
    store.doorbells.notify([Doorbell(job.id, "platform.null", "") for job in jobs], step=5)

    custodian.notify_stale()
    assert store.doorbells.waiting("platform.null") == 3

    pop(store, "platform.null", 5)
    custodian.notify_stale()
    custodian.notify_stale()

    assert store.doorbells.waiting("platform.null") == 3
    again = pop(store, "platform.null", doorbell.FIRST)
    assert again["headers"]["traceparent"] == TRACEPARENT


def test_fresh_doorbells_are_given_time(
    store: LabStore, settings: Settings, make_spec: Callable[..., JobSpec]
) -> None:
    """A doorbell sent just now may be on its way to a worker: it is not sent again yet."""
    custodian = Custodian(store, settings.model_copy(update={"doorbell_grace_s": 60}))
    store.jobs.submit([NewJob(make_spec())], "test")

    custodian.notify_stale()

    assert store.doorbells.waiting("platform.null") == 0


def test_doorbells_of_jobs_that_are_no_more_go(
    store: LabStore, settings: Settings, make_spec: Callable[..., JobSpec]
) -> None:
    """Doorbells without a job leave a queue that no board serves; while a job waits there, none
    goes."""
    custodian = Custodian(store, settings)
    job, other = NewJob(make_spec(board="gone-1")), NewJob(make_spec(board="gone-1"))
    store.jobs.submit([job, other], "test")
    store.doorbells.notify([Doorbell(job.id, "board.gone-1", "")], step=doorbell.FIRST)
    store.doorbells.notify([Doorbell(other.id, "board.gone-1", "")], step=9)

    store.jobs.cancel(job.id, "test", "")
    custodian.notify_stale()
    assert store.doorbells.waiting("board.gone-1") == 2

    store.jobs.cancel(other.id, "test", "")
    custodian.notify_stale()
    assert store.doorbells.waiting("board.gone-1") == 0


def test_one_custodian_leads(store: LabStore, settings: Settings) -> None:
    """Two may run, one acts; the other takes over when it resigns."""
    first, second = Custodian(store, settings), Custodian(store, settings)

    assert [first.tick(), second.tick(), first.tick()] == [True, False, True]
    first.resign()
    assert [second.tick(), first.tick()] == [True, False]
