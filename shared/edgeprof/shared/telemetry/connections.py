"""An HTTP server with bounded threads and time: slow clients are disconnected.

A connection has half a minute for everything. When too many are open, the oldest is closed: an
honest request takes milliseconds, so the oldest are those that occupy a thread on purpose.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

log = logging.getLogger(__name__)

_LONGEST_S: Final = 30.0
_MOST: Final = 64
#: Threads of closed connections end at once, unless they wait for Redis.
_MOST_THREADS: Final = 2 * _MOST
#: How much of an unwanted body is read, so that its sender gets the answer: closing at once would
#: lose it.
_LEFT_OVER_BYTES: Final = 8 << 20
_LEFT_OVER_S: Final = 2.0


class Server(ThreadingMixIn, WSGIServer):
    """One thread for each connection, and one request."""

    daemon_threads = True
    block_on_close = False
    #: Connections not accepted yet; with the usual 5, a burst delays others by seconds.
    request_queue_size = 128

    def __init__(self, *args: Any, **more: Any) -> None:
        self._guard = threading.Lock()
        #: Connection -> when it is to be closed, monotonic; None once it was. Oldest first.
        self._open: dict[socket.socket, float | None] = {}
        super().__init__(*args, **more)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection a thread, if there is one left."""
        with self._guard:
            if len(self._open) >= _MOST_THREADS:
                self.close_request(request)
                return
            waiting = [key for key, at_s in self._open.items() if at_s is not None]
            if len(waiting) >= _MOST:
                self._cut_off(waiting[0])
            self._open[request] = time.monotonic() + _LONGEST_S
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """Close connections whose time has run out; the server's loop calls this twice a second."""
        now_s = time.monotonic()
        with self._guard:
            for request, at_s in self._open.items():
                if at_s is not None and at_s < now_s:
                    self._cut_off(request)

    def _cut_off(self, request: socket.socket) -> None:
        self._open[request] = None
        with suppress(OSError):  # gone by itself
            request.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection once the client has its answer."""
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
            request.settimeout(_LEFT_OVER_S)
            left = _LEFT_OVER_BYTES
            while left > 0 and (got := len(request.recv(1 << 16))):
                left -= got
        with self._guard:
            self._open.pop(request, None)
        self.close_request(request)

    def handle_error(self, _request: Any, client_address: Any) -> None:
        """Log an error; a broken connection only at debug level."""
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            log.debug("HTTP: %s went away", client_address[0])
        else:
            log.error("HTTP: %s got no answer", client_address[0], exc_info=error)


class Handler(WSGIRequestHandler):
    """A request handler that does not write a line to stderr for each request."""

    #: Limit of one read.
    timeout = _LONGEST_S

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        log.debug(format, *args)
