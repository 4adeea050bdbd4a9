"""Ringing: write the Celery message that says "this job is ready" on the queue of its target.

A bell may be lost or doubled without harm (the store decides who runs what), so many are written in
one round trip. `Celery.apply_async` costs a round trip and about 0.7 ms of client time each; the
message below is the one it would write (Celery protocol 2 in kombu's Redis envelope), and a test
holds the two equal field by field.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from typing import Any, Final

from edgeprof.shared.celery_app import KEY_PREFIX, PRIORITY_STEPS, TASK_NAME
from edgeprof.shared.store.jobs import Bell
from edgeprof.shared.store.script import Script

#: kombu.transport.redis.Channel.sep: between a queue's name and the priority in a list's key.
SEPARATOR: Final = "\x06\x16"

#: Bells the custodian rings again go before all others: their jobs have waited once already.
FIRST: Final = 0

_EMBED: Final = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def board_queue(device_id: str) -> str:
    """Return the queue of jobs for this very board."""
    return f"board.{device_id}"


def platform_queue(platform: str) -> str:
    """Return the queue of jobs for any board of a platform."""
    return f"platform.{platform}"


def transport_priority(priority: int) -> int:
    """Map 0 (whenever) .. 9 (now) to kombu's reverse order; 0 there stays free for re-rung bells."""
    return min(9, 10 - priority)


def list_key(queue: str, step: int) -> str:
    """Return the Redis key of the bells of a queue at one transport priority."""
    return f"{KEY_PREFIX}{queue}{SEPARATOR}{step}" if step else KEY_PREFIX + queue


def message(bell: Bell, step: int) -> dict[str, Any]:
    """Return what Celery would put on the queue for `edgeprof.profile(job_id)`."""
    body = json.dumps([[bell.job_id], {}, _EMBED]).encode()
    shown = f"('{bell.job_id}',)"
    return {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK_NAME,
            "id": bell.job_id,  # so that Flower lists a job under its own id
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": bell.job_id,
            "parent_id": None,
            "argsrepr": shown,
            "kwargsrepr": "{}",
            "origin": "edgeprof",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            "traceparent": bell.traceparent,
        },
        "properties": {
            "correlation_id": bell.job_id,
            "reply_to": "",  # no result backend, nobody listens
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": bell.queue},
            "priority": step,
            "body_encoding": "base64",
            "delivery_tag": str(uuid.uuid4()),
        },
    }


class Bells:
    """The writer of bells; the reader is Celery."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def ring(self, bells: Sequence[Bell], *, step: int) -> None:
        """Ring in one round trip, oldest first. Raises StoreUnavailable or StoreRefused."""
        lists: dict[str, list[str]] = {}
        for bell in bells:
            lists.setdefault(bell.queue, []).append(json.dumps(message(bell, step)))
        self._script.pipelined(
            lambda pipe: [pipe.lpush(list_key(queue, step), *rung) for queue, rung in lists.items()]
        )

    def waiting(self, queue: str) -> int:
        """Return how many bells wait on a queue, over all priorities."""
        keys = [list_key(queue, step) for step in PRIORITY_STEPS]
        return sum(self._script.pipelined(lambda pipe: [pipe.llen(key) for key in keys]))
