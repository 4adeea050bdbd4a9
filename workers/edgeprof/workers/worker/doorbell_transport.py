"""kombu's Redis transport for a board's worker, with a guard in front of kombu and Celery.

Whoever has a login can leave anything in Redis in front of this worker: on the lists that it pops,
on the channels that it subscribes to, under the keys that kombu keeps for itself. The guard
(message_guard.py) sits where a reply of Redis is still one string of bytes, in the two clients that
kombu reads with. Later is too late:
- kombu decodes, parses and looks into a message before it calls anybody. A string, a null or a list
  as a tag breaks its event loop, and the worker with it.
- Celery's hooks (`on_task_message`, `create_task_handler`, a consumer step) run after that. What
  raises once kombu has noted a message is put back on its queue and comes again: an endless loop.
- Our task runs last, when a time limit or an ETA has already been acted on.

kombu's own keys are not used, so nobody can fill, empty or replace them under a worker: a worker
knows its queues by name and needs no table of bindings (`_kombu.binding.*`), and a lost doorbell is
sent again, so no copy of a message in flight is kept (`unacked*`).
"""

# The stubs of kombu leave out what a transport is made of.
# mypy: disable-error-code="attr-defined,misc"

from __future__ import annotations

import json
from contextlib import suppress
from functools import cached_property, partial
from typing import Any, ClassVar, Final

import kombu.transport
from kombu.transport import redis as kombu_redis
from redis import ConnectionPool, Redis
from redis.exceptions import RedisError, ResponseError

from edgeprof.shared.queue import doorbell
from edgeprof.shared.store.script import text
from edgeprof.workers.metrics.telemetry import Sender
from edgeprof.workers.worker import doorbell_parser, remote_control
from edgeprof.workers.worker.message_guard import MessageGuard

#: A reply that nobody fetched is gone after so long, as in kombu's own reply queues.
_REPLY_TTL_S: Final = 10

#: How many messages are taken off a list at once after one was dropped. Redis writes them all into
#: one reply, however large they are.
_MESSAGES_A_LOOK: Final = 16

#: How many remote-control messages are read before doorbells have their turn again.
_MESSAGES_A_TURN: Final = 500

#: How long a worker waits for a doorbell at a time. Each wait costs Redis a command; kombu's own is
#: 1 s. A worker whose connection broke unnoticed waits on it for so long.
_WAIT_S: Final = 10

#: How often Celery's loop turns although nothing happens: it then sees that it is to stop.
_TURN_S: Final = 1.0

_guard = MessageGuard("", Sender(None))
#: The connections that kombu writes with, and asks for a PING.
_writing: ConnectionPool | None = None


def install(node: str, telemetry: Sender, writing: ConnectionPool) -> MessageGuard:
    """Put a guard on this process' connections to every kind of broker URL; returns the guard.

    kombu writes over connections of `writing`, which the process has anyway; it would keep two of
    its own for the events.

    kombu picks the transport by the URL's scheme, again at every failover, so the schemes are what
    is changed.
    """
    # kombu makes the transports, and nothing can be handed to them.
    global _guard, _writing
    _guard, _writing = MessageGuard(node, telemetry), writing
    for scheme, transport in (
        ("redis", "Transport"),
        ("rediss", "Transport"),
        ("sentinel", "SentinelTransport"),
    ):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:{transport}"
        kombu.transport._transport_cache.pop(scheme, None)  # noqa: SLF001
    return _guard


class _Subscriber(kombu_redis.PrefixedRedisPubSub):
    """Receives remote-control messages."""

    def parse_response(self, *args: Any, **kwargs: Any) -> Any:
        reply = super().parse_response(*args, **kwargs)
        if isinstance(reply, list) and reply[0].endswith(b"message"):
            # kombu passes over an empty message.
            reply[-1] = _guard.admit_command(reply[-1]) or b""
        return reply


class _Popper(kombu_redis.PrefixedStrictRedis):
    """Pops doorbells."""

    def __init__(self, *args: Any, channel: Channel, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._channel = channel

    def ping(self, **_: Any) -> bool:
        """Check that Redis answers, when a channel is made; most channels never read."""
        return bool(Redis(connection_pool=_writing).ping())

    def pubsub(self, **kwargs: Any) -> _Subscriber:
        return _Subscriber(self.connection_pool, global_keyprefix=self.global_keyprefix, **kwargs)

    def parse_response(self, connection: Any, command_name: str, **options: Any) -> Any:
        if command_name != "BRPOP":
            return super().parse_response(connection, command_name, **options)
        try:
            reply = super().parse_response(connection, command_name, **options)
        except ResponseError as error:
            if not str(error).startswith("WRONGTYPE"):
                _guard.refused(f"Redis refuses the wait for doorbells: {error}")
                raise
            self._channel.remove_foreign_keys()
            return None
        _guard.answered()
        if not reply:
            return None
        key = reply[0].decode()
        queue = key.rsplit(self._channel.sep, 1)[0]
        message = _guard.admit_doorbell(reply[1], queue)
        if message is None and len(reply[1]) <= doorbell.LARGEST_BYTES:
            message = self._channel.next_doorbell(key, queue)
        return None if message is None else (reply[0], message)


class Channel(kombu_redis.Channel):
    """A channel to one server, by TCP, TLS or socket."""

    #: When a connection breaks, doorbells in hand are being acted on, or are sent again.
    do_restore = False

    def _get_client(self) -> Any:
        super()._get_client()  # checks redis-py's version
        return partial(_Popper, channel=self, global_keyprefix=self.global_keyprefix)

    def _create_client(self, asynchronous: bool = False) -> Any:
        """Return a client to read with, or one to write with."""
        if asynchronous:
            return super()._create_client(asynchronous=True)
        return self._writer

    @cached_property
    def _writer(self) -> Any:
        """One client for all writing; kombu makes one for each event, which takes 0.3 ms."""
        return self.Client(connection_pool=_writing)

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        return {**super()._connparams(asynchronous), **doorbell_parser.options()}

    def _update_queue_cycle(self) -> None:
        """Wait anew when the queues have changed: a wait is for those that were asked for."""
        super()._update_queue_cycle()
        self._end_wait()

    def close(self) -> None:
        """Close without the end of a wait, which kombu would read first."""
        self._end_wait()
        super().close()

    def _end_wait(self) -> None:
        """End the wait for a doorbell, unless Redis has answered it: that is about to be read."""
        waiting = self._in_poll
        with suppress(RedisError, OSError):
            if waiting and not waiting.can_read(timeout=0):
                waiting.disconnect()

    def remove_foreign_keys(self) -> None:
        """Remove what is no list under the names of this worker's lists.

        With such a key in the way, no doorbell would reach the worker any more.
        """
        redis = Redis(connection_pool=_writing)  # kombu's client would prefix only some commands
        for queue in self.active_queues:
            for step in self.priority_steps:
                key = self.global_keyprefix + self._q_for_pri(queue, step)
                kind = text(redis.type(key))
                if kind in {"list", "none"}:
                    continue
                try:
                    redis.unlink(key)
                except ResponseError as error:
                    _guard.refused(
                        f"the key {key!r} is a {kind}, not the list of doorbells it is to be, and"
                        f" Redis does not let this worker remove it ({error}):"
                        f" redis-cli DEL {key!r}"
                    )
                    raise
                _guard.removed(key, kind)

    def next_doorbell(self, key: str, queue: str) -> bytes | None:
        """Return the next doorbell of a list on which a message was dropped.

        More of the kind may stand before it, and to wait for each would take 30 s for 100,000 of
        them. What is lost when this fails is sent again.
        """
        redis = self._create_client(asynchronous=True)  # its parser keeps no large message
        with suppress(RedisError):
            messages = redis.rpop(key, _MESSAGES_A_LOOK) or []
            doorbells = [
                admitted
                for message in messages
                if (admitted := _guard.admit_doorbell(message, queue))
            ]
            if len(doorbells) > 1:
                redis.rpush(key, *reversed(doorbells[1:]))
            return doorbells[0] if doorbells else None
        return None

    # A queue is a list that is popped, or a channel that is subscribed to. Neither has to be made
    # first, so kombu writes nothing here.

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
        """Read remote-control messages, but not for ever: doorbells have their turn.

        After _MESSAGES_A_TURN the connection is closed, and the rest is lost with it.
        """
        for _ in range(_MESSAGES_A_TURN):
            self._receive_one(self.subclient)
            connection = self.subclient.connection
            if connection is None or not connection.can_read(timeout=0):
                return True
        connection.disconnect()
        return True

    # A worker itself puts two things on lists: its replies to remote control, and the doorbell of a
    # queue that it has just left.

    def _lookup(self, exchange: str, routing_key: str, _: Any = None) -> list[str]:
        """Return the asker's reply queue by its name; kombu would look into a table in Redis."""
        return [f"{routing_key}.{exchange}"] if exchange == remote_control.REPLIES else []

    def _put(self, queue: str, message: Any, **_: Any) -> None:
        pipe = self._create_client().pipeline()
        pipe.lpush(queue, json.dumps(message))
        pipe.pexpire(queue, _REPLY_TTL_S * 1000)
        with suppress(RedisError):  # the asker asks again
            pipe.execute()

    def _restore(self, message: Any, leftmost: bool = False) -> None:  # noqa: ARG002 - kombu's
        """Put a doorbell back as it came: it was on its way here when the queue was left."""
        raw = message._raw  # noqa: SLF001 - kombu's own way
        properties = raw["properties"]
        key = self._q_for_pri(properties["delivery_info"]["routing_key"], properties["priority"])
        with suppress(RedisError):  # the custodian sends it again
            self._create_client().rpush(key, json.dumps(raw))


class SentinelChannel(Channel, kombu_redis.SentinelChannel):
    """A channel to the master that Sentinels name."""


class Transport(kombu_redis.Transport):
    """For redis://, rediss:// and redis+socket://."""

    Channel = Channel
    brpop_timeout = _WAIT_S

    #: The timer of the process' only loop.
    _turns: ClassVar[Any] = None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have the loop turn each second, too; kombu's wait of 1 s would do that."""
        super().register_with_event_loop(connection, loop)
        if Transport._turns is not None:  # of the connection before this one
            Transport._turns.cancel()
        Transport._turns = loop.call_repeatedly(_TURN_S, _turn)


class SentinelTransport(Transport, kombu_redis.SentinelTransport):
    """For sentinel://."""

    Channel = SentinelChannel


def _turn() -> None:
    """Do nothing, but in Celery's loop."""
