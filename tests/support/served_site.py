"""The scheduler's pages, served over HTTP from a Redis and an archive of a test's own."""

from __future__ import annotations

import base64
import http.client
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from edgeprof.scheduler.archive import Archive
from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.scheduler.site.build import site
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_gate import Gate


class ServedSite:
    """Asks one site as browsers and programs do."""

    def __init__(self, port: int, store: LabStore, archive: Archive) -> None:
        self.port, self.store, self.archive = port, store, archive
        self.url = f"http://127.0.0.1:{port}"
        #: Body of the last answer.
        self.text = ""

    def ask(self, path: str, method: str = "GET", **headers: str) -> Any:
        """Headers by name, with _ for -."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=sent)
        reply = connection.getresponse()
        self.text = reply.read().decode()
        connection.close()
        return reply

    def status(self, path: str, method: str = "GET", **headers: str) -> int:
        return int(self.ask(path, method, **headers).status)


def password(token: str, user: str = "anybody") -> str:
    """Return what a browser sends when its user has typed a password."""
    return f"Basic {base64.b64encode(f'{user}:{token}'.encode()).decode()}"


@contextmanager
def serve_site(settings: Settings) -> Iterator[ServedSite]:
    """Serve the pages of these settings, with an archive in the data folder."""
    with LabStore.open(settings) as store, Archive.open(settings) as archive:
        endpoint = Endpoint(
            CollectorRegistry(),
            settings.metrics_bind,
            0,
            pages(store, settings, Liveness(3600)),
            Gate.of(settings),
            site(store, archive, settings),
        )
        try:
            yield ServedSite(endpoint.port, store, archive)
        finally:
            endpoint.close()
