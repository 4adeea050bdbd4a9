"""Puts the site of a lab together, and says in Redis where it is."""

from __future__ import annotations

import logging
import time

from edgeprof.scheduler.site.api import Api
from edgeprof.scheduler.site.pages import Pages
from edgeprof.scheduler.site.records import ArchivedJobs, Records
from edgeprof.scheduler.site.wsgi import SiteApplication
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store import site_address
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.script import Script
from edgeprof.shared.store.site_address import SiteAddress
from edgeprof.shared.telemetry.endpoint import Site
from edgeprof.shared.telemetry.http_gate import is_loopback
from edgeprof.shared.telemetry.http_token import Token

log = logging.getLogger(__name__)


def site(store: LabStore, archive: ArchivedJobs, settings: Settings) -> Site:
    """Return the pages and the API of a lab, with the token that their readers have to show."""
    records = Records(store, archive)
    app = SiteApplication(Pages(records, settings), Api(records))
    return Site(app, Token("EDGEPROF_PAGES_TOKEN", settings.pages_token, for_people=True))


class Announcer:
    """Says in Redis where the pages are, for links that commands print."""

    def __init__(self, script: Script, settings: Settings, port: int) -> None:
        self._script = script
        own = is_loopback(settings.metrics_bind) and settings.metrics_advertise is None
        self._address = SiteAddress(
            url=(settings.pages_url or "").rstrip("/")
            or f"http://{_in_url(settings.advertised_address)}:{port}",
            host=settings.host,
            loopback=own and settings.pages_url is None,
        )
        self._due_s = 0.0

    def announce_when_due(self) -> None:
        """Announce now and then; that Redis is away is reported elsewhere."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + site_address.ANNOUNCED_EVERY_S
        try:
            site_address.announce(self._script, self._address)
        except InfrastructureError as error:
            log.debug("where the pages are was not announced: %s", error)


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address  # IPv6
