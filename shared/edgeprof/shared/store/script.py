"""Assembles and calls the Lua script; errors of redis-py become ours here."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import pydantic_core
from redis import Redis
from redis.client import Pipeline

from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.telemetry.trouble import Troubles

PREFIX = "edgeprof:"

T = TypeVar("T")

#: The files of lua/ in the order in which they are joined: each uses only names of those before it.
LUA_FILES: Final = (
    "keys",
    "values",
    "cordons",
    "boards",
    "records",
    "queues",
    "submit",
    "attempts",
    "claim",
    "run",
    "archive",
    "maintenance",
    "reservations",
    "hosts",
    "notices",
    "lending",
    "schedules",
)

#: Behind each file.
_DISPATCH: Final = "if commands[ARGV[1]] then return commands[ARGV[1]](unpack(ARGV, 2)) end\n"
_NO_COMMAND: Final = "return redis.error_reply('no command ' .. ARGV[1])\n"


@functools.cache
def lua_source() -> str:
    """Return the store's one script. Redis runs it whole, so its files share their local names."""
    folder = importlib.resources.files("edgeprof.shared.store").joinpath("lua")
    files = (folder.joinpath(f"{name}.lua").read_text() for name in LUA_FILES)
    return "".join(f"{file}\n{_DISPATCH}" for file in files) + _NO_COMMAND


class Script:
    """The script of the store, bound to one Redis and one key prefix."""

    def __init__(
        self, redis: Redis, url: str, prefix: str = PREFIX, patient: Redis | None = None
    ) -> None:
        """`patient`: the client for what may rightly take long; default: the same."""
        self.redis = redis
        self.patient = patient or redis
        self.url = url
        self.prefix = prefix
        self._lua = redis.register_script(lua_source())

    def key(self, name: str) -> str:
        """Return the Redis key that lua/keys.lua calls `$p name`."""
        return self.prefix + name

    def call(self, command: str, *args: Any) -> Any:
        """Run one command of the script; text comes back as str."""
        return text(self.call_for_bytes(command, *args))

    def call_for_bytes(self, command: str, *args: Any) -> Any:
        """Run one command of the script whose reply may have packed records in it."""
        return self.guarded(lambda _: self._lua(keys=[self.prefix], args=[command, *args]))

    def call_each(self, calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Run many commands in one round trip."""

        def fill(pipe: Pipeline) -> None:
            for call in calls:
                self._lua(keys=[self.prefix], args=call, client=pipe)

        return self.pipelined(fill)

    def call_patiently(self, command: str, *args: Any) -> Any:
        """Run one command that may take long, or must not be left in doubt."""
        return text(
            self.guarded_patiently(
                lambda redis: self._lua(keys=[self.prefix], args=[command, *args], client=redis)
            )
        )

    def guarded(self, operation: Callable[[Redis], T]) -> T:
        """Run an operation on the client; errors of redis-py become ours."""
        with redis_client.store_errors(self.url):
            return operation(self.redis)

    def guarded_patiently(self, operation: Callable[[Redis], T]) -> T:
        """Run an operation that may rightly take long: large values, or a wait in Redis."""
        with redis_client.store_errors(self.url):
            return operation(self.patient)

    def close(self) -> None:
        """Close the connections."""
        self.redis.close()
        self.patient.close()

    def pipelined(
        self, fill: Callable[[Pipeline], object], *, raise_on_error: bool = True
    ) -> list[Any]:
        """Fill a pipeline (no transaction: nothing in it needs a snapshot) and run it.

        Without raise_on_error, the error of a refused command is in its place among the replies.
        """

        def run(redis: Redis) -> list[Any]:
            with redis.pipeline(transaction=False) as pipe:
                fill(pipe)
                return [text(reply) for reply in pipe.execute(raise_on_error)]

        return self.guarded(run)


def text(reply: Any) -> Any:
    """Decode the bytes of a reply, however deep; model files never come this way.

    Bytes that are not UTF-8 were not written by us; they are replaced, and the reader refuses the
    value.
    """
    if isinstance(reply, bytes):
        return reply.decode(errors="replace")
    if isinstance(reply, (list, tuple)):
        return [text(item) for item in reply]
    if isinstance(reply, dict):
        return {text(name): text(value) for name, value in reply.items()}
    return reply


def stream_entries(reply: Any) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (cursor, fields) of what XREAD returned for one stream."""
    reply = text(reply)
    streams = reply.values() if isinstance(reply, dict) else [stream[1] for stream in reply or []]
    for entries in streams:
        # redis-py's RESP3 replies nest the entries of a stream once more.
        flat = entries[0] if entries and isinstance(entries[0][0], list) else entries
        for cursor, fields in flat:
            yield cursor, dict(fields)


def records(lines: Iterable[str], **fields: type) -> list[dict[str, Any]]:
    """Parse lines of JSON, each an object with these fields of these types; others are left out.

    Others may have written them, too: a malformed line must not hide the rest.
    """
    found = []
    for line in lines:
        try:
            record = pydantic_core.from_json(line)
        except ValueError:
            continue
        if isinstance(record, dict) and all(
            isinstance(record.get(name), (int, float) if kind is float else kind)
            for name, kind in fields.items()
        ):
            found.append(record)
    return found


class LeftOut:
    """Counts the unreadable records of one look, so that one line of the log reports them all."""

    def __init__(self) -> None:
        self._count = 0
        self._first = ""

    def add(self, error: ValueError) -> None:
        """Count one record."""
        self._count += 1
        self._first = self._first or one_line(str(error), 200)

    def tell(self, told: Troubles, what: str) -> None:
        """Log how many there were and what is wrong with the first; again when that changes."""
        if self._count:
            told.say(what, f"{self._count} {what} cannot be read, and are left out: {self._first}")
        else:
            told.well(what)
