"""Decides which requests a page may answer: those for this machine, and not from another web site.

Two attacks that a web page in somebody's browser could make on pages without a login:

- DNS rebinding: the page's own name suddenly has our address, so that the browser takes our answers
for the page's. The request still carries that name, and a request for a name that is not ours is
refused. IP addresses are let through, because a page cannot take one for its name, and Prometheus
and tunnels then need no setting.
- A request from the page's site (a form, fetch, an image). The browser shows it in Origin and
Sec-Fetch-Site. Following a link is let through, or no runbook could be opened from a chat; only the
user sees the answer.

Clients that are not browsers (Prometheus, Alertmanager, curl) send neither; only Host is checked.
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
#: Most refused names that are logged, each once.
_MOST_SAID: Final = 10
#: They forbid pages of another site to show or load ours.
HEADERS: Final = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)


class Gate:
    """Has the names under which this machine's pages may be requested."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        """Beside these names, localhost and every IP address are accepted."""
        self._names = {_plain(name) for name in ("localhost", *names) if name}
        #: Refusals are logged for the operator of a Prometheus that gets nothing; strangers must
        #: not fill the log.
        self._said: set[str] = set()

    @classmethod
    def of(cls, settings: Settings, *more: str) -> Self:
        """Take the names from the settings: bound, advertised, the host's own, and added ones."""
        added = settings.http_names.split(",")
        own = (settings.metrics_bind, settings.advertised_address, settings.host)
        return cls([*own, *(name.strip() for name in added), *more])

    def refusal(self, method: str, header: Header) -> str | None:
        """Return in one line why this request is refused, or None."""
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
    """Whether a server on this address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _place(origin: str) -> str | None:
    """Return host:port of an Origin, or None where it has none, e.g. for "null"."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _follows_a_link(method: str, header: Header) -> bool:
    """Whether the browser opens the page in a window of its own."""
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
