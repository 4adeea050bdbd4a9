"""Routes a request to a page or to the API, and answers errors of either kind.

Paths and queries come from outside: names are checked before anything is asked for them, and every
error of ours is one line with its hint, as on the command line.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from edgeprof.scheduler.report import page
from edgeprof.scheduler.site.api import API, Api
from edgeprof.scheduler.site.pages import Pages
from edgeprof.shared.errors import EdgeprofError, InfrastructureError, NotFound
from edgeprof.shared.types.wire import is_name

log = logging.getLogger(__name__)

_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"
#: No page is kept by a browser or a proxy: they change, and may need a token.
_HEADERS: Final = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}

Answer = Callable[..., Any]


class SiteApplication:
    """A WSGI application: the pages and the API of one lab. It answers GET only."""

    def __init__(self, pages: Pages, api: Api) -> None:
        self._pages = pages
        self._urls = Map(
            [
                Rule("/", endpoint=pages.home),
                Rule("/jobs/<name>", endpoint=pages.job),
                Rule("/sweeps/<name>", endpoint=pages.sweep),
                Rule("/boards/<name>", endpoint=pages.board),
                Rule("/compare", endpoint=pages.compare),
                Rule(f"{API}/jobs", endpoint=api.jobs),
                Rule(f"{API}/jobs/<name>", endpoint=api.job),
                Rule(f"{API}/results", endpoint=api.results),
                Rule(f"{API}/boards", endpoint=api.boards),
                Rule(f"{API}/boards/<name>", endpoint=api.board),
                Rule(f"{API}/openapi.json", endpoint=api.openapi),
            ],
            strict_slashes=False,
            merge_slashes=False,
        )

    def __call__(self, environ: Mapping[str, Any], start: Any) -> Iterable[bytes]:
        """Answer one request."""
        request = Request(dict(environ))
        in_api = request.path.startswith(API)
        try:
            status, found = 200, self._found(request)
        except (EdgeprofError, HTTPException) as error:
            status = _status(error)
            found = self._error(error, status, in_api=in_api)
        except Exception:
            log.exception("no page for %s", request.path[:200])
            status, found = 500, self._error(
                EdgeprofError("this page has a fault", hint="the scheduler's log tells more"),
                500,
                in_api=in_api,
            )  # fmt: skip
        if isinstance(found, str):
            response = Response(found, status, {**_HEADERS, "Content-Type": _HTML})
            response.headers["Content-Security-Policy"] = page.content_security_policy()
        else:
            text = json.dumps(found, allow_nan=False)
            response = Response(text, status, {**_HEADERS, "Content-Type": _JSON})
        return response(dict(environ), start)

    def _found(self, request: Request) -> Any:
        """Return HTML as text, or what the API answers."""
        answer: Answer
        answer, names = self._urls.bind_to_environ(request.environ).match()
        if not all(map(is_name, names.values())):
            raise NotFound("no name of a job, sweep or board looks like this")
        query: MultiDict[str, str] = request.args
        return answer(query, **names)

    def _error(self, error: EdgeprofError | HTTPException, status: int, *, in_api: bool) -> Any:
        if isinstance(error, EdgeprofError):
            text, hint = str(error), error.hint
        else:
            text, hint = "there is no such page", "the start page is /, the API /api/v1"
        if in_api:
            return {"error": text, "hint": hint}
        return self._pages.error(text, hint, status)


def _status(error: EdgeprofError | HTTPException) -> int:
    if isinstance(error, HTTPException):
        return 404
    if isinstance(error, NotFound):
        return 404
    return 503 if isinstance(error, InfrastructureError) else 400
