"""Celery's remote control: what Flower and the exporter ask is answered, and nothing else is
obeyed."""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery.worker.control import Panel
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from edgeprof.shared.queue.celery_app import TASK_NAME, make_app
from edgeprof.shared.types.job import JobSpec
from edgeprof.workers.worker import remote_control
from tests.queue import hostile
from tests.support.doorbell_lab import Lab
from tests.support.null_lab import Rig

NODE = "w@null-01.testhost"
TICKET = "0b0c8a0e-3f0a-4b5e-9d7e-0a1b2c3d4e5f"
ADDRESS = "1b0c8a0e-3f0a-4b5e-9d7e-0a1b2c3d4e5f"

#: Arguments with which Celery's own commands do what they can.
ARGUMENTS: dict[str, dict[str, Any]] = {
    "rate_limit": {"task_name": TASK_NAME, "rate_limit": "1/h"},
    "time_limit": {"task_name": TASK_NAME, "hard": 0.001, "soft": 0.001},
    "add_consumer": {"queue": "board.other-1"},
    "cancel_consumer": {"queue": "platform.null"},
    "pool_shrink": {"n": 1},
    "pool_grow": {"n": 50},
    "autoscale": {"max": 9, "min": 9},
    "revoke": {"task_id": ["x"], "terminate": True},
    "terminate": {"signal": "KILL", "task_id": ["x"]},
    "revoke_by_stamped_headers": {"headers": {"x": ["y"]}},
    "election": {"id": "x", "topic": "y", "action": "z"},
    "hello": {"from_node": "x", "revoked": {"y": 1}},
    "query_task": {"ids": ["x"]},
}


def channel(redis: Redis) -> str:
    """Where kombu publishes commands: it names the database."""
    return f"edgeprof:doorbell:/{redis.get_connection_kwargs()['db']}.celery.pidbox"


def command(method: str = "ping", *, reply: bool = True, **fields: Any) -> str:
    """What kombu publishes for a command."""
    body: dict[str, Any] = {
        "method": method,
        "arguments": ARGUMENTS.get(method, {}),
        "destination": None,
        "pattern": None,
        "matcher": None,
    }
    if reply:
        address = {"exchange": remote_control.REPLIES, "routing_key": ADDRESS}
        body |= {"ticket": TICKET, "reply_to": address}
    return json.dumps(
        {
            "body": base64.b64encode(json.dumps(body | fields).encode()).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"clock": 7, "expires": 0},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": remote_control.EXCHANGE, "routing_key": ""},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": TICKET,
            },
        }
    )


def is_command(message: bytes) -> bool:
    """Whether it is one, for whichever node."""
    try:
        remote_control.read(message, NODE)
    except remote_control.NotACommandError:
        return False
    return True


@pytest.fixture
def lab(rig: Rig, make_spec: Callable[..., JobSpec]) -> Iterator[Lab]:
    made = Lab(rig, make_spec)
    rig.wait_until(lambda: made.redis.pubsub_numpat() == 1, "the worker hears commands")
    yield made
    made.metrics.close()


@pytest.fixture
def app(lab: Lab) -> Iterator[Any]:
    made = make_app(lab.rig.settings.redis_url)
    yield made
    made.close()


@settings(max_examples=300)
@given(hostile.damaged(command()))
def test_what_is_obeyed_is_what_we_write(message: bytes) -> None:
    """A command of ours, without arguments, answered to a reply queue of kombu's; or nothing."""
    try:
        read = remote_control.read(message, NODE)
    except remote_control.NotACommandError:
        return
    if read is None:
        return  # for another node
    body = json.loads(base64.b64decode(json.loads(read)["body"]))
    assert body["arguments"] == remote_control.COMMANDS[body["method"]]
    assert set(body) <= {"method", "arguments", "ticket", "reply_to"}
    if body.get("reply_to"):
        assert body["reply_to"]["exchange"] == remote_control.REPLIES
        assert str(uuid.UUID(body["reply_to"]["routing_key"])) == body["reply_to"]["routing_key"]


@pytest.mark.parametrize(
    "fields",
    [
        {"pattern": "(a+)+$", "matcher": "pcre"},
        {"reply_to": {"exchange": "", "routing_key": "platform.null"}},
        {"reply_to": {"exchange": remote_control.REPLIES, "routing_key": "platform.null"}},
        {"reply_to": {"exchange": "celery", "routing_key": ADDRESS}},
        {"destination": "w@null-01.testhost"},
        {"ticket": "x" * 10000},
    ],
)
def test_no_caller_chooses_a_list_or_an_expression(fields: dict[str, Any]) -> None:
    """A question that chooses a list or an expression is refused as a whole, however harmless it
    is."""
    assert remote_control.read(command().encode(), NODE)
    with pytest.raises(remote_control.NotACommandError):
        remote_control.read(command(**fields).encode(), NODE)


def test_a_command_for_another_node_is_passed_over() -> None:
    """A command for another node is passed over, and is no error."""
    assert remote_control.read(command(destination=["w@other.h"]).encode(), NODE) is None
    assert remote_control.read(command(destination=["w@other.h", NODE]).encode(), NODE)


@pytest.mark.e2e
def test_what_flower_and_the_exporter_ask_is_answered(lab: Lab, app: Any) -> None:
    """A worker answers the questions of Flower's page and of `celery status` as Celery does."""
    for method in ("ping", "stats", "active_queues", "registered", "scheduled", "active"):
        asked = app.control.inspect(destination=[NODE], timeout=10)
        answer = getattr(asked, method)()
        assert NODE in answer, method
    assert app.control.inspect([NODE], timeout=10).ping() == {NODE: {"ok": "pong"}}
    (told,) = app.control.inspect([NODE], timeout=10).active_queues().values()
    assert {queue["name"] for queue in told} == {"board.null-01", "platform.null"}
    assert TASK_NAME in app.control.inspect([NODE], timeout=10).registered()[NODE]


@pytest.mark.e2e
def test_no_other_command_is_obeyed(lab: Lab, app: Any) -> None:
    """Every one that Celery has: no answer, counted, and jobs are served at once by the same
    worker."""
    refused = set(Panel.data) - set(remote_control.COMMANDS) - {"enable_events"}
    assert {"rate_limit", "shutdown", "add_consumer", "pool_shrink", "revoke"} <= refused
    for method in sorted(refused):
        lab.redis.publish(channel(lab.redis), command(method))
        lab.redis.publish(channel(lab.redis), command(method, reply=False))
    for _ in range(3):
        lab.serve()

    lab.rig.wait_until(lambda: lab.dropped("command") == 2 * len(refused), "they are counted")
    assert lab.redis.keys("edgeprof:doorbell:*") == []
    assert app.control.inspect([NODE], timeout=10).stats()[NODE]["pool"]["max-concurrency"] == 1


@pytest.mark.e2e
def test_every_field_and_type_of_a_command(lab: Lab, app: Any) -> None:
    """Each place of a command with each value: the worker answers the next, serves jobs, and writes
    no key but replies, which go away."""
    wrong = 0
    for what, batch in hostile.each(command()):
        for message in batch:
            lab.redis.publish(channel(lab.redis), message)
        lab.serve()
        assert lab.worker.poll() is None, what
        wrong += sum(not is_command(message) for message in batch)
    assert wrong > 500
    lab.rig.wait_until(
        lambda: lab.dropped("command") + lab.dropped("large") == wrong, "they are counted"
    )
    for key in lab.redis.keys("edgeprof:doorbell:*"):
        assert key.endswith(b"." + remote_control.REPLIES.encode())
        assert lab.redis.pttl(key) <= 10_000  # -2 when it is gone already
        assert lab.redis.pttl(key) != -1
    lab.rig.wait_until(
        lambda: app.control.inspect([NODE], timeout=1).ping() == {NODE: {"ok": "pong"}},
        "the worker answers",
    )


@pytest.mark.e2e
def test_anything_made_from_a_command(lab: Lab, app: Any) -> None:
    """Batches of generated messages, an honest job behind each."""

    @settings(max_examples=20)
    @given(st.lists(hostile.damaged(command()), min_size=1, max_size=30))
    def behind(messages: list[bytes]) -> None:
        for message in messages:
            lab.redis.publish(channel(lab.redis), message)
        lab.serve()

    behind()


@pytest.mark.e2e
def test_a_reply_queue_of_a_wrong_type_is_not_written(lab: Lab, app: Any) -> None:
    """The answer is lost, and the next one is given."""
    key = f"edgeprof:doorbell:{ADDRESS}.{remote_control.REPLIES}"
    lab.redis.set(key, "x")
    for _ in range(20):
        lab.redis.publish(channel(lab.redis), command())
    lab.serve()

    assert app.control.inspect([NODE], timeout=10).ping() == {NODE: {"ok": "pong"}}
    assert lab.redis.get(key) == b"x"


@pytest.mark.e2e
def test_a_flood_of_commands_keeps_no_job_waiting(lab: Lab) -> None:
    """30,000 at once: most are not even read, and a job is served meanwhile."""
    commands = channel(lab.redis)
    before = lab.memory_mib()
    started = time.monotonic()
    for _ in range(30):
        with lab.redis.pipeline(transaction=False) as pipe:
            for _ in range(1000):
                pipe.publish(commands, command("stats"))
            pipe.execute()
        lab.serve()

    assert lab.memory_mib() < before + 30
    assert lab.dropped("too many") > 1000
    reply = f"edgeprof:doorbell:{ADDRESS}.{remote_control.REPLIES}"
    assert lab.redis.llen(reply) < 200 + 20 * (time.monotonic() - started)
