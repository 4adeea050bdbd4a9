"""kombu's Redis transport for a board's worker: nothing that others wrote reaches kombu or Celery
unjudged.

Whatever logins can write to Redis stands before this worker: lists it pops, channels it hears, and
keys that kombu keeps for itself. The judge (door.py) sits where a reply of Redis is one string of
bytes still, in the two clients that kombu reads with, because
- kombu decodes, parses and looks into a message before it calls anybody: a string, a null, a list
  as a tag break its event loop, and the worker with it;
- Celery's hooks (`on_task_message`, `create_task_handler`, a consumer step) come later still, and
  what raises after kombu noted a message is put back on its queue, to be met again: a loop;
- a task of ours is called last of all, when a time limit or an ETA has been acted on.

And kombu's own keys are not used: no table of bindings (`_kombu.binding.*`) is needed where a
worker knows its queues by name, and no copy of a message in flight (`unacked*`) where a lost doorbell
is sent again. So none of them can be filled, emptied or made of a wrong type under a worker.
"""

# The stubs of kombu leave out what a transport is made of.
# mypy: disable-error-code="attr-defined,misc"

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import Any, Final

import kombu.transport
from kombu.transport import redis as plain
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from edgeprof.shared.store.script import text
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker import doorbell_parser, remote_control
from edgeprof.workers.worker.door import Door

#: A reply that nobody fetched is gone after so long, as kombu's own reply queues are.
_REPLY_TTL_S: Final = 10

#: Messages that are taken off a list at once, where one was dropped. Redis writes them all into one
#: reply, however large they are.
_MESSAGES_A_LOOK: Final = 16

#: Remote-control messages that are read in one go, before doorbells have their turn again.
_MESSAGES_A_TURN: Final = 500

_door = Door("", Sender(None))


def install(node: str, telemetry: Sender) -> Door:
    """Make this process' connections to every kind of broker URL judged ones; returns the judge.

    kombu takes the transport from the URL's scheme, at every failover anew, so the schemes are what
    is changed.
    """
    global _door  # noqa: PLW0603 - kombu makes the transports, and can be told nothing
    _door = Door(node, telemetry)
    for scheme, transport in (
        ("redis", "Transport"),
        ("rediss", "Transport"),
        ("sentinel", "SentinelTransport"),
    ):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport}"
        kombu.transport._transport_cache.pop(scheme, None)  # noqa: SLF001
    return _door


class _Listener(plain.PrefixedRedisPubSub):
    """Hears remote control."""

    def parse_response(self, *args: Any, **kwargs: Any) -> Any:
        reply = super().parse_response(*args, **kwargs)
        if isinstance(reply, list) and reply[0].endswith(b"message"):
            reply[-1] = _door.command(reply[-1]) or b""  # kombu passes over an empty one
        return reply


class _Popper(plain.PrefixedStrictRedis):
    """Pops doorbells."""

    def __init__(self, *args: Any, channel: Channel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channel = channel

    def pubsub(self, **kwargs: Any) -> _Listener:
        return _Listener(self.connection_pool, global_keyprefix=self.global_keyprefix, **kwargs)

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        if command_name != "BRPOP":
            return super().parse_response(connection, command_name, **options)
        try:
            reply = super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                _door.troubled(f"Redis refuses the wait for doorbells: {error}")
                raise
            self._channel.mend()
            return None
        _door.answered()
        if not reply:
            return None
        key = reply[0].decode()
        queue = key.rsplit(self._channel.sep, 1)[0]
        doorbell = _door.doorbell(reply[1], queue)
        if doorbell is None and len(reply[1]) <= doorbell.LARGEST_BYTES:
            doorbell = self._channel.look_behind(key, queue)
        return None if doorbell is None else (reply[0], doorbell)


class Channel(plain.Channel):
    """Of one server, by TCP, TLS or socket."""

    #: When a connection breaks, doorbells in hand are being acted on, or are sent again.
    do_restore = False

    def _get_client(self) -> Any:
        super()._get_client()  # looks at redis-py's version
        return partial(_Popper, channel=self, global_keyprefix=self.global_keyprefix)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        return {**super()._connparams(asynchronous), **doorbell_parser.options()}

    def mend(self) -> None:
        """Remove what is no list under the names of this worker's lists: no doorbell would be heard any
        more."""
        redis = Redis(connection_pool=self.pool)  # kombu's would prefix some commands only
        for queue in self.active_queues:
            for step in self.priority_steps:
                key = self.global_keyprefix + self._q_for_pri(queue, step)
                kind = text(redis.type(key))
                if kind in {"list", "none"}:
                    continue
                try:
                    redis.unlink(key)
                except ResponseError as error:
                    _door.troubled(
                        f"the key {key!r} is a {kind}, not the list of doorbells it is to be, and Redis"
                        f" does not let this worker remove it ({error}): redis-cli DEL {key!r}"
                    )
                    raise
                _door.removed(key, kind)

    def look_behind(self, key: str, queue: str) -> bytes | None:
        """Return the next doorbell on a list where a message was dropped: more of the kind may be
        before it.

        Waiting for each would take 30 s for 100,000 of them. What is lost when this fails is sent
        again.
        """
        redis = self._create_client()
        with suppress(RedisError):
            found = redis.rpop(key, _MESSAGES_A_LOOK) or []
            doorbells = [
                doorbell for message in found if (doorbell := _door.doorbell(message, queue))
            ]
            if len(doorbells) > 1:
                redis.rpush(key, *reversed(doorbells[1:]))
            return doorbells[0] if doorbells else None
        return None

    # A queue is a list that is popped, or a channel that is heard: nothing of it needs to be
    # written first.

    def _new_queue(self, *_: Any, **__: Any) -> None:
        pass

    def _queue_bind(self, exchange: str, routing_key: str, _: Any, queue: str) -> None:
        if self.typeof(exchange).type == "fanout":
            self._fanout_queues[queue] = exchange, routing_key.replace("#", "*")

    def _size(self, _: str) -> int:
        return 0

    def _delete(self, *_: Any, **__: Any) -> None:
        pass

    def _receive(self) -> bool:
        """Hear remote control, but not for ever; what is more is lost with the connection, and
        doorbells go on."""
        for _ in range(_MESSAGES_A_TURN):
            self._receive_one(self.subclient)
            connection = self.subclient.connection
            if connection is None or not connection.can_read(timeout=0):
                return True
        connection.disconnect()
        return True

    # What a worker itself puts on a list: its replies, and the doorbell of a queue that it does not
    # hear any more.

    def _lookup(self, exchange: str, routing_key: str, _: Any = None) -> list[str]:
        """Return the reply queue of who asked, by its name; kombu would look into a table in
        Redis."""
        return [f"{routing_key}.{exchange}"] if exchange == remote_control.REPLIES else []

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        pipe = self._create_client().pipeline()
        pipe.lpush(queue, json.dumps(message))
        pipe.pexpire(queue, _REPLY_TTL_S * 1000)
        with suppress(RedisError):  # who asked asks again
            pipe.execute()

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: ARG002 - kombu's
        """Put a doorbell back as it came: it was on its way here when the queue was left."""
        doorbell = message._raw  # noqa: SLF001 - kombu's own way
        properties = doorbell["properties"]
        key = self._q_for_pri(properties["delivery_info"]["routing_key"], properties["priority"])
        with suppress(RedisError):  # it is sent again
            self._create_client().rpush(key, json.dumps(doorbell))


class SentinelChannel(Channel, plain.SentinelChannel):
    """Of the master that Sentinels name."""


class Transport(plain.Transport):
    """For redis://, rediss:// and redis+socket://."""

    Channel = Channel


class SentinelTransport(plain.SentinelTransport):
    """For sentinel://."""

    Channel = SentinelChannel
