"""Which requests a page may answer: those that were meant for this machine, and that no other site sent.

Two things that a web page open in somebody's browser could do to pages without a login:

- DNS rebinding: its own name suddenly has our address, so that to the browser our answers are the page's own. The
  request still carries that name, so a request for a name that is not ours is refused. An IP address in its place
  is no such name: a page of ours under its address is ours, whoever linked to it. Addresses are let through, so
  that Prometheus and tunnels need no setting.
- A request from its own site (a form, fetch, an image). The browser says so in Origin and Sec-Fetch-Site. Following
  a link is let through, or no runbook could be opened from a chat; its answer is for the user's eyes only.

What is no browser (Prometheus, Alertmanager, curl) sends neither, and is judged by Host alone.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from collections.abc import Callable, Iterable
from typing import Final, Self
from urllib.parse import urlsplit

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.settings import Settings

log = logging.getLogger(__name__)

#: Returns a header of the request by its name, or None.
Header = Callable[[str], str | None]

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Za-z:.%]+\]|[0-9A-Za-z._-]+)(:[0-9]{1,5})?")
#: Names that are told in the log, each once.
_MOST_SAID: Final = 10
#: Forbids a page of another site to show or load ours.
HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Gate:
    """Knows the names under which this machine's pages may be asked for."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Beside these names: localhost, and every IP address."""
        self._names = {_plain(name) for name in ("localhost", *names) if name}
        #: For whoever wonders why a Prometheus gets nothing; but a stranger must not fill the log.
        self._said: set[str] = set()

    @classmethod
    def of(cls, settings: Settings, *more: str) -> Self:
        """Take the names from the settings: bound to, advertised, the host's own, and those added by hand."""
        added = settings.http_names.split(",")
        own = (settings.metrics_bind, settings.advertised_address, settings.host)
        return cls([*own, *(name.strip() for name in added), *more])

    def refusal(self, method: str, header: Header) -> str | None:
        """Return in one line why this request gets no answer; None: it does."""
        host = header("Host") or ""
        if not self._is_ours(host):
            line = (
                f"not asked for under a name of this machine: {one_line(host, 100) or 'no Host'}."
                " EDGEPROF_HTTP_NAMES adds names"
            )
            if len(self._said) < _MOST_SAID and line not in self._said:
                self._said.add(line)
                log.warning("HTTP: refused what was %s", line)
            return line
        origin = header("Origin")
        if origin is not None and _place(origin) != host.lower():
            return f"a request from another site ({one_line(origin, 100)})"
        site = header("Sec-Fetch-Site")
        if site not in {None, "same-origin", "none"} and not _follows_a_link(method, header):
            return "a request from another site"
        return None

    def _is_ours(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = _plain(found["name"])
        return name in self._names or _is_address(name)


def is_loopback(address: str) -> bool:
    """Whether what listens there can be reached from this machine only."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _place(origin: str) -> str | None:
    """Return host:port of an Origin, None for what is none, as "null" is."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _follows_a_link(method: str, header: Header) -> bool:
    """Whether a user goes to the page, in a window of its own."""
    return (
        method == "GET"
        and header("Sec-Fetch-Mode") == "navigate"
        and header("Sec-Fetch-Dest") == "document"
    )


def _plain(name: str) -> str:
    return name.strip("[]").rstrip(".").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
