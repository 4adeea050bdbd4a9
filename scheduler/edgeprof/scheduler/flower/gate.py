"""Puts our gate (telemetry/http_gate.py) before Flower, which checks neither Host nor Origin.

Flower without a login even allows every site to read its answers. Tornado's host patterns are for
one handler each, and we would have to list them all. Tornado finds the handler of a request in
one place, so the check is there.
"""

from __future__ import annotations

from typing import Any

import flower.command
from tornado.httputil import HTTPMessageDelegate, HTTPServerRequest
from tornado.web import RequestHandler

from edgeprof.shared.telemetry.http_gate import Gate


def install(gate: Gate) -> None:
    """Have `celery flower` of this process refuse what the gate refuses, on every page."""

    class Guarded(flower.command.Flower):  # type: ignore[misc]
        def find_handler(self, request: HTTPServerRequest, **more: Any) -> HTTPMessageDelegate:
            refused = gate.refusal(request.method or "", request.headers.get)
            delegate: HTTPMessageDelegate = (
                super().find_handler(request, **more)
                if refused is None
                else self.get_handler_delegate(request, _Refused, {"line": refused})
            )
            return delegate

    flower.command.Flower = Guarded


class _Refused(RequestHandler):
    def initialize(self, line: str) -> None:
        self._line = line

    def check_xsrf_cookie(self) -> None:
        """Check nothing: a refused request needs no XSRF cookie."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._line}\n")
