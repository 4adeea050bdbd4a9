"""Ringing: write the Celery message that says "this job is ready" on the queue of its target.

A bell may be lost or doubled without harm (the store decides who runs what), so many are written in
one round trip. `Celery.apply_async` costs a round trip and about 0.4 ms of client time each; the
message below is the one it would write (Celery protocol 2 in kombu's Redis envelope), and a test
holds the two equal field by field.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from edgeprof.shared.celery_app import KEY_PREFIX, PRIORITY_STEPS, TASK_NAME
from edgeprof.shared.store.jobs import Bell
from edgeprof.shared.store.script import Script

#: kombu.transport.redis.Channel.sep: between a queue's name and the priority in a list's key.
SEPARATOR: Final = "\x06\x16"

#: Bells the custodian rings again go before all others: their jobs have waited once already.
FIRST: Final = 0

_EMBED: Final = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'

#: Where a template is filled in. No id, queue, label or W3C traceparent has these characters, nor any that
#: JSON escapes.
_ID, _TRACE, _BODY, _TAG, _LABEL = "<id>", "<traceparent>", "<body>", "<tag>", "<label>"


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


def write(bell: Bell, step: int) -> str:
    """Return what Celery would put on the queue for `edgeprof.profile(job_id)`."""
    body = f'[["{bell.job_id}"], {{}}, {_EMBED}]'
    return (
        _template(bell.queue, step)
        .replace(_ID, bell.job_id)
        .replace(_TRACE, bell.traceparent)
        .replace(_LABEL, bell.label)
        .replace(_BODY, base64.b64encode(body.encode()).decode())
        .replace(_TAG, str(uuid.uuid4()))
    )


@lru_cache(maxsize=256)
def _template(queue: str, step: int) -> str:
    """Return the JSON of all bells of a queue: a sweep has thousands that differ in four places."""
    message: dict[str, Any] = {
        "body": _BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": TASK_NAME,
            "id": _ID,  # so that Flower lists a job under its own id
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": _ID,
            "parent_id": None,
            "argsrepr": _LABEL,  # what Flower shows: the id is in the column beside
            "kwargsrepr": "{}",
            "origin": "edgeprof",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
            "traceparent": _TRACE,
        },
        "properties": {
            "correlation_id": _ID,
            "reply_to": "",  # no result backend, nobody listens
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": step,
            "body_encoding": "base64",
            "delivery_tag": _TAG,
        },
    }
    return json.dumps(message)


class Bells:
    """The writer of bells; the reader is Celery."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def ring(self, bells: Sequence[Bell], *, step: int) -> None:
        """Ring in one round trip, oldest first. Raises StoreUnavailable or StoreRefused."""
        lists: dict[str, list[str]] = {}
        for bell in bells:
            lists.setdefault(bell.queue, []).append(write(bell, step))
        self._script.pipelined(
            lambda pipe: [pipe.lpush(list_key(queue, step), *rung) for queue, rung in lists.items()]
        )

    def waiting(self, queue: str) -> int:
        """Return how many bells wait on a queue, over all priorities."""
        keys = [list_key(queue, step) for step in PRIORITY_STEPS]
        return sum(self._script.pipelined(lambda pipe: [pipe.llen(key) for key in keys]))
