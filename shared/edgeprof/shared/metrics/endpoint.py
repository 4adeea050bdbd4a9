"""Serving metrics over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any, Final, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from edgeprof.shared.vital import vital_thread

log = logging.getLogger(__name__)

#: Status line, content type, body.
Answer = tuple[str, str, bytes]
#: Answers requests for one path; the argument is what was posted.
Page = Callable[[bytes], Answer]
#: Far beyond what Alertmanager posts; who sends more is not heard out.
_LARGEST_POST_BYTES: Final = 1 << 20


class StartResponse(Protocol):
    """WSGI's."""

    def __call__(self, status: str, headers: list[tuple[str, str]], /) -> Any: ...


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    #: For a line of the request, or its body: who is slower holds a thread no longer.
    timeout = 30

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        log.debug(format, *args)


class Endpoint:
    """/metrics of one registry (OpenMetrics with exemplars for who asks), and other pages."""

    def __init__(
        self,
        registry: CollectorRegistry,
        bind: str,
        port: int,
        pages: dict[str, Page] | None = None,
    ) -> None:
        """Serve at once. A port that is taken costs a warning and another port."""
        self._pages = pages or {}
        self._metrics = make_wsgi_app(registry)
        try:
            self._server = self._listen(bind, port)
        except OSError as error:
            self._server = self._listen(bind, 0)
            log.warning(
                "port %d on %s: %s; serving on port %d instead",
                port,
                bind,
                error.strerror,
                self.port,
            )
        self._thread = vital_thread(self._server.serve_forever, f"http:{self.port}")
        self._thread.start()

    def _listen(self, bind: str, port: int) -> WSGIServer:
        return make_server(bind, port, self._answer, _Server, _Quiet)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        page = self._pages.get(path)
        if page is None:
            known = "\n".join(["/metrics", *self._pages])
            status, kind, body = "404 Not Found", "text/plain", f"try\n{known}\n".encode()
        else:
            status, kind, body = page(_posted(environ))
        start(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body]


def _posted(environ: dict[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH") or "0"
    wanted = int(length) if length.isdecimal() else 0
    body: bytes = environ["wsgi.input"].read(wanted) if wanted <= _LARGEST_POST_BYTES else b""
    return body
