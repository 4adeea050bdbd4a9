"""Serving metrics and a few pages over HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol
from wsgiref.simple_server import WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from edgeprof.shared.telemetry import http_gate
from edgeprof.shared.telemetry.connections import Handler, Server
from edgeprof.shared.telemetry.http_answer import Answer, plain
from edgeprof.shared.telemetry.http_gate import Gate
from edgeprof.shared.telemetry.http_posts import Post
from edgeprof.shared.telemetry.http_token import Token
from edgeprof.shared.vital_threads import vital_thread

log = logging.getLogger(__name__)

#: Answers GET and HEAD for one path. The argument is empty, because they have no body.
Page = Callable[[bytes], Answer]

#: What a page may be asked with.
_READ: Final = ("GET", "HEAD")
_METRICS: Final = "/metrics"
_Headers = list[tuple[str, str]]


class StartResponse(Protocol):
    """WSGI's start_response."""

    def __call__(self, status: str, headers: _Headers, /) -> Any: ...


@dataclass(frozen=True, slots=True)
class Site:
    """A WSGI application that answers GET at every path that is no page, to those with a token."""

    app: Any
    token: Token


class Endpoint:
    """Serves /metrics of one registry (OpenMetrics with exemplars on request), and other pages."""

    def __init__(
        self,
        registry: CollectorRegistry,
        bind: str,
        port: int,
        pages: Mapping[str, Page | Post] | None = None,
        gate: Gate | None = None,
        site: Site | None = None,
    ) -> None:
        """Serve at once; when the port is taken, on another one, with a warning."""
        self._pages = pages or {}
        self._gate = gate or Gate([bind])
        self._site = site
        self._open_to_others = not http_gate.is_loopback(bind)
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
        self._closed = threading.Event()
        self._thread = vital_thread(
            self._server.serve_forever, f"http:{self.port}", self._closed.is_set
        )
        self._thread.start()

    def _listen(self, bind: str, port: int) -> WSGIServer:
        return make_server(bind, port, self._answer, Server, Handler)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    def close(self) -> None:
        """Stop serving."""
        self._closed.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, environ: dict[str, Any], start: StartResponse) -> Iterable[bytes]:
        status, headers, body = self._reply(environ)
        headers = [*headers, *http_gate.HEADERS, ("Content-Length", str(len(body)))]
        start(status, headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    def _reply(self, environ: dict[str, Any]) -> tuple[str, _Headers, bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]

        def header(name: str) -> str | None:
            value: str | None = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
            return value

        if refused := self._gate.refusal(method, header):
            return _typed(plain("403 Forbidden", refused))
        page = self._pages.get(path)
        if page is None and path != _METRICS and self._site is not None:
            return self._visited(self._site, environ)
        if page is None and path != _METRICS:
            known = "\n".join([_METRICS, *self._pages])
            return _typed(plain("404 Not Found", f"try\n{known}"))
        allowed = ("POST",) if isinstance(page, Post) else _READ
        if method not in allowed:
            return _not_allowed(allowed)
        if page is None:
            return self._scraped(environ)
        if not isinstance(page, Post):
            return _typed(page(b""))
        status, headers, body = _typed(page.answer(environ, open_to_others=self._open_to_others))
        if status.startswith("401"):
            headers.append(("WWW-Authenticate", "Bearer"))
        return status, headers, body

    def _scraped(self, environ: dict[str, Any]) -> tuple[str, _Headers, bytes]:
        return _asked(self._metrics, environ)

    def _visited(self, site: Site, environ: dict[str, Any]) -> tuple[str, _Headers, bytes]:
        if environ["REQUEST_METHOD"] not in _READ:
            return _not_allowed(_READ)
        refused = site.token.refusal(environ, open_to_others=self._open_to_others)
        if refused is None:
            return _asked(site.app, environ)
        status, headers, body = _typed(refused)
        if status.startswith("401"):
            headers.append(("WWW-Authenticate", site.token.challenge))
        return status, headers, body


def _asked(app: Any, environ: dict[str, Any]) -> tuple[str, _Headers, bytes]:
    """Return what a WSGI application answers; HEAD gets the headers of GET."""
    replies: list[tuple[str, _Headers]] = []

    def note(status: str, headers: _Headers, _error: object = None) -> None:
        replies.append((status, headers))

    body = b"".join(app({**environ, "REQUEST_METHOD": "GET"}, note))
    ((status, headers),) = replies
    return status, [header for header in headers if header[0].lower() != "content-length"], body


def _not_allowed(allowed: tuple[str, ...]) -> tuple[str, _Headers, bytes]:
    status, headers, body = _typed(plain("405 Method Not Allowed", " or ".join(allowed)))
    return status, [*headers, ("Allow", ", ".join(allowed))], body


def _typed(answer: Answer) -> tuple[str, _Headers, bytes]:
    status, kind, body = answer
    return status, [("Content-Type", kind)], body
