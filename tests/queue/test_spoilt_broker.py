"""Keys of the broker that somebody spoilt keep no worker from hearing its doorbells."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.shared.queue import doorbell
from edgeprof.shared.types.job import JobSpec
from edgeprof.workers.metrics.devices import DeviceMetrics
from edgeprof.workers.metrics.sessions import SessionMetrics
from edgeprof.workers.metrics.telemetry import Connected, Receiver, Refused, Sender
from tests.support.board_infos import numbered_board
from tests.support.doorbell_lab import QUEUE, Lab
from tests.support.null_lab import Rig

KINDS = ("string", "hash", "set", "zset", "stream")
SCHEMES = """
import sys
from kombu import Connection
from redis import ConnectionPool
from edgeprof.shared.queue.celery_app import make_app
from edgeprof.workers.worker import doorbell_transport
from edgeprof.workers.metrics.telemetry import Sender

doorbell_transport.install("w@b.h", Sender(None), ConnectionPool())
for url in sys.argv[1:]:
    with make_app(url).connection_for_read() as connection:
        print(connection.get_transport_cls().__module__)
        for other in connection.alt:
            connection.switch(other)
            print(connection.get_transport_cls().__module__)
"""


def spoil(redis: Any, key: str, kind: str) -> None:
    """Make a key of that type."""
    redis.delete(key)
    {
        "string": lambda: redis.set(key, "x"),
        "hash": lambda: redis.hset(key, "x", "x"),
        "set": lambda: redis.sadd(key, "x"),
        "zset": lambda: redis.zadd(key, {"x": 0}),
        "stream": lambda: redis.xadd(key, {"x": "x"}),
        "list": lambda: redis.rpush(key, "x"),
    }[kind]()


def kombu_keys() -> list[str]:
    names = [
        f"_kombu.{table}.{exchange}"
        for table in ("binding", "binding_permanent")
        for exchange in ("celery.pidbox", "reply.celery.pidbox", "celeryev", "celery", QUEUE)
    ]
    names += ["_kombu.binding_deadlines", "unacked", "unacked_index", "unacked_mutex"]
    names += ["celery", "w@null-01.testhost.celery.pidbox", "w@null-01.testhost"]
    return [f"edgeprof:doorbell:{name}" for name in names]


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["string", "list", "zset"])
def test_keys_of_kombu_keep_no_worker_from_hearing(
    rig: Rig, make_spec: Callable[..., JobSpec], kind: str
) -> None:
    """Keys of kombu, of any type and at any time, keep no worker from receiving; it neither reads
    nor changes one."""
    redis = rig.store.script.redis
    for key in kombu_keys():
        spoil(redis, key, kind)
    lab = Lab(rig, make_spec)
    lab.serve()
    for key in kombu_keys():
        spoil(redis, key, "set")
    lab.serve()

    assert {redis.type(key) for key in kombu_keys()} == {b"set"}
    lab.worker.terminate()
    assert lab.worker.wait(60) == 0
    lab.metrics.close()


@pytest.mark.e2e
def test_a_queue_that_is_no_list_is_mended(rig: Rig, make_spec: Callable[..., JobSpec]) -> None:
    """Each list of its two doorbell, of each type, before its start and while it runs: removed, and
    said once."""
    redis = rig.store.script.redis
    lists = [doorbell.list_key(q, step) for q in (QUEUE, "board.null-01") for step in range(10)]

    def spoil_all() -> None:
        for index, key in enumerate(lists):
            spoil(redis, key, KINDS[index % len(KINDS)])
        rig.wait_until(lambda: redis.exists(*lists) == 0, "they are gone")

    for index, key in enumerate(lists):
        spoil(redis, key, KINDS[index % len(KINDS)])
    lab = Lab(rig, make_spec)
    rig.wait_until(lambda: redis.exists(*lists) == 0, "they are gone")
    lab.serve()
    spoil_all()
    lab.serve(board="null-01")

    rig.wait_until(lambda: lab.dropped("key") == 2 * len(lists), "they are counted")
    lab.metrics.close()


@pytest.mark.e2e
def test_a_worker_that_cannot_hear_ends(
    rig: Rig, make_redis: Callable[..., Any], tmp_path: Path, wait_until: Callable[..., None]
) -> None:
    """A worker that cannot receive names the key and the command to mend it, and ends; its board is
    shown with the reason."""
    acl = tmp_path / "users.acl"
    acl.write_text("user default on nopass ~* &* +@all\nuser w on >w ~* &* +@all -unlink -del\n")
    server = make_redis("--aclfile", str(acl))
    server.start()
    key = doorbell.list_key(QUEUE, 5)
    log_dir = tmp_path / "deaf"
    with server.connect() as redis:
        redis.set(key, "x")
        url = server.url.replace("//", "//w:w@")
        worker = rig.start_worker("01", redis_url=url, log_dir=log_dir, board_ttl_s=1.0)
        assert worker.wait(30) == 77
        told = json.loads(redis.hget("edgeprof:boards", "null-01") or b"{}")

    said = "".join(path.read_text() for path in log_dir.iterdir())
    assert "gets no doorbells" in said
    assert "redis-cli DEL" in said
    assert "platform.null" in said
    assert "gets no doorbells" in told["reason"]


def test_every_kind_of_broker_is_judged() -> None:
    """One server, TLS, a socket and Sentinels, and after a failover to another of these."""
    urls = ["redis://h/0", "rediss://h/0", "unix:///run/redis.sock"]
    urls.append("redis+sentinel://a,b:5/0?master=m")
    done = subprocess.run(
        [sys.executable, "-c", SCHEMES, *urls], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == ["edgeprof.workers.worker.doorbell_transport"] * 6


def test_reasons_are_few() -> None:
    """A worker that tells of another reason makes no series of it."""
    registry = CollectorRegistry()
    receiver = Receiver(SessionMetrics(registry, lambda _: 1.0), DeviceMetrics(CollectorRegistry()))
    with closing(receiver), closing(socket.socket(fileno=os.dup(receiver.worker_fd))) as worker:
        sender = Sender(worker)
        sender.send(Connected(board=numbered_board()))
        worker.send(b'{"kind": "refused", "counts": {"because": 1}}')
        sender.send(Refused(counts={"large": 2}))
        receiver.drain()

    (family,) = (f for f in registry.collect() if f.name == "worker_messages_dropped")
    totals = {s.labels["reason"]: s.value for s in family.samples if s.name.endswith("_total")}
    assert totals == {"large": 2, "malformed": 0, "key": 0, "command": 0, "too many": 0}
