"""Reads replies of Redis without keeping what is too large to be a doorbell.

BRPOP takes a message off its list and hands it over whole, and no command of Redis returns the
size of the next one. So the limit is here: the bytes of a larger message are read and thrown away
piece by piece, and the worker never holds them. Closing the connection instead was rejected,
because it restarts Celery's consumer each time.
"""

from __future__ import annotations

from typing import Any, Final

from redis._parsers.resp2 import _RESP2Parser
from redis._parsers.socket import SocketBuffer
from redis.utils import SENTINEL

#: Largest reply that is kept: room for a remote-control message that names 500 boards.
LARGEST_BYTES: Final = 65536

#: What stands for a larger reply: itself too large for every reader.
TOO_LARGE: Final = bytes(LARGEST_BYTES + 1)


class _Buffer(SocketBuffer):
    """redis-py's buffer between socket and parser."""

    def read(self, length: int, timeout: float | object = SENTINEL) -> bytes:
        if length <= LARGEST_BYTES:
            return super().read(length, timeout=timeout)
        missing = length + 2  # and the end of the line
        while missing := missing - len(self._buffer.read(missing)):
            self._buffer.seek(0)
            self._buffer.truncate()
            self._read_from_socket(timeout=timeout)
        return TOO_LARGE


class DoorbellParser(_RESP2Parser):
    """redis-py's parser of RESP2, which keeps no value over LARGEST_BYTES."""

    def on_connect(self, connection: Any) -> None:
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._buffer = _Buffer(
            connection._sock,  # noqa: SLF001 - as redis-py's own parsers
            self.socket_read_size,
            connection.socket_timeout,
        )


def options() -> dict[str, Any]:
    """Return the options of a connection that is read this way; RESP3 would replace the parser."""
    return {"parser_class": DoorbellParser, "protocol": 2}
