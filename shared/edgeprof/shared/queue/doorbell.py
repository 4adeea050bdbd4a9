"""Doorbells: writes and reads the Celery messages that notify workers of a job on its queue.

A doorbell may be lost or doubled without harm (the store decides who runs what), so many are
written in one round trip. `Celery.apply_async` costs a round trip and about 0.4 ms of client time
for each. The message below is the one that it would write (Celery protocol 2 in kombu's Redis
envelope); a test compares the two field by field.

Anybody who can write to Redis can put anything on a queue. So the reader accepts only a message
that the writer would have written: a list of what is wrong would never be complete, and this needs
no list.
"""

from __future__ import annotations

import base64
import json
import re
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import pydantic_core

from edgeprof.shared.queue.celery_app import KEY_PREFIX, PRIORITY_STEPS, TASK_NAME
from edgeprof.shared.store.job_values import Doorbell
from edgeprof.shared.store.script import Script
from edgeprof.shared.telemetry.traceparent import trace_id_of
from edgeprof.shared.types.wire import is_name

#: kombu.transport.redis.Channel.sep: between a queue's name and the priority in a list's key.
SEPARATOR: Final = "\x06\x16"

#: The highest priority. Repeated doorbells use it, because their jobs have waited already.
FIRST: Final = 0

#: A longer message is not parsed. Ours have about 1300 bytes, at most 2100.
LARGEST_BYTES: Final = 4096

#: A random UUID, as kombu and `write` make for a message, and kombu for its tickets and replies.
UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
#: Text that needs no escaping in JSON, and has no "<", which marks a place of the template.
_LABEL_TEXT: Final = re.compile(r"[ !#-;=-\[\]-~]{0,300}")

_EMBED: Final = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'

#: Places of the template that are filled in. No id, queue, label or W3C traceparent has these
#: characters, and JSON escapes none of them.
_ID, _TRACE, _BODY, _TAG, _LABEL = "<id>", "<traceparent>", "<body>", "<tag>", "<label>"


_PLACES: Final = re.compile("<id>|<traceparent>|<body>|<tag>")


def transport_priority(priority: int) -> int:
    """Map 0 (whenever) .. 9 (now) to kombu's reverse order, whose 0 is for repeated doorbells."""
    return min(9, 10 - priority)


def list_key(queue: str, step: int) -> str:
    """Return the Redis key of the doorbells of a queue at one transport priority."""
    return f"{KEY_PREFIX}{queue}{SEPARATOR}{step}" if step else KEY_PREFIX + queue


class NotADoorbellError(ValueError):
    """Raised for a message on a queue that is not a doorbell of ours."""


def write(doorbell: Doorbell, step: int, tag: str | None = None) -> str:
    """Return the message that Celery would send for `edgeprof.profile(job_id)`; the tag is random.

    A malformed label or traceparent is left out: others may have written the record.
    """
    job_id = doorbell.job_id
    trace = doorbell.traceparent if trace_id_of(doorbell.traceparent) else ""
    filled = body(job_id), job_id, job_id, trace, job_id, tag or str(uuid.uuid4())
    first, *rest = pieces(doorbell.queue, step, doorbell.label)
    return first + "".join(value + piece for value, piece in zip(filled, rest, strict=True))


def pieces(queue: str, step: int, label: str) -> list[str]:
    """Return what stands before, between and after the six values that differ from job to job.

    They are body, id, id, traceparent, id and tag; lua/submit.lua puts them together, too.
    """
    text = _template(queue, step)
    text = text.replace(_LABEL, label if _LABEL_TEXT.fullmatch(label) else "")
    return _PLACES.split(text)


def body(job_id: str) -> str:
    """Return the body of a job's doorbell, which names the job."""
    return base64.b64encode(f'[["{job_id}"], {{}}, {_EMBED}]'.encode()).decode()


def read(message: bytes, queue: str) -> str:
    """Return a doorbell from a queue, written anew by `write`. Raises NotADoorbellError.

    Only the arguments of `write` are taken from the message, each checked, so Celery reads nothing
    that was not written here. A message that is larger than a doorbell is not parsed.
    """
    try:
        # Ids are never seen again; caching them would cost each worker some megabytes.
        told = pydantic_core.from_json(message, cache_strings="keys")
        headers, properties = told["headers"], told["properties"]
        doorbell = Doorbell(headers["id"], queue, headers["traceparent"], headers["argsrepr"])
        step, tag = properties["priority"], properties["delivery_tag"]
        _judge(doorbell, step, tag)
        written = write(doorbell, step, tag)
        same = _canonical(told) == _canonical(json.loads(written))
    except (ValueError, TypeError, KeyError) as error:
        raise NotADoorbellError("it has not the form of a doorbell") from error
    if not same:
        raise NotADoorbellError("it says what no doorbell says")
    return written


def _judge(doorbell: Doorbell, step: Any, tag: Any) -> None:
    """Check the fields that differ from doorbell to doorbell. Raises ValueError or TypeError."""
    if type(step) is not int or step not in PRIORITY_STEPS:
        raise ValueError("no priority")
    if not (is_name(doorbell.job_id) and re.fullmatch(UUID, tag)):
        raise ValueError("no id")


def _canonical(message: Any) -> str:
    """Return JSON that differs for different messages: in Python True, 1 and 1.0 are equal."""
    return json.dumps(message, sort_keys=True)


@lru_cache(maxsize=256)
def _template(queue: str, step: int) -> str:
    """Return the template of a queue's doorbells."""
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
            "argsrepr": _LABEL,  # Flower shows it beside the id
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


class Doorbells:
    """Sends doorbells, and counts those that wait."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def notify(self, doorbells: Sequence[Doorbell], *, step: int) -> None:
        """Notify in one round trip, oldest first. Raises StoreUnavailable or StoreRefused."""
        lists: dict[str, list[str]] = {}
        for doorbell in doorbells:
            lists.setdefault(doorbell.queue, []).append(write(doorbell, step))
        self._script.pipelined(
            lambda pipe: [pipe.lpush(list_key(queue, step), *sent) for queue, sent in lists.items()]
        )

    def waiting(self, queue: str) -> int:
        """Return how many doorbells wait on a queue, over all priorities."""
        keys = [list_key(queue, step) for step in PRIORITY_STEPS]
        return sum(self._script.pipelined(lambda pipe: [pipe.llen(key) for key in keys]))
