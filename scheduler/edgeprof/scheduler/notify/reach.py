"""Opens connections for webhooks, but to no loopback or link-local address that is not allowed.

Anyone who may submit jobs names where the scheduler sends. Behind those addresses are services that
trust whoever reaches them: Redis, Prometheus, the metadata of a cloud. Private networks stay
reachable, because a lab's chat is there. The address that was checked is the one that is used: a
name cannot lead elsewhere between the two.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Collection
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult


class Forbidden(Exception):  # noqa: N818 - names a state, as errors.py's do
    """Raised for an address that webhooks may not reach."""


def open_socket(
    host: str, port: int, timeout_s: float | None, allowed: Collection[str]
) -> socket.socket:
    """Connect to a host. Raises Forbidden and OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    places = dict.fromkeys(str(address[0]) for *_, address in found)
    if host.lower() not in allowed:
        for place in places:
            _refuse_inside(place)
    failure: OSError | None = None
    for place in places:
        try:
            return socket.create_connection((place, port), timeout_s)
        except OSError as error:
            failure = error
    raise failure or OSError("no address")


def _refuse_inside(place: str) -> None:
    address = ipaddress.ip_address(place)
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_loopback or address.is_link_local or address.is_unspecified:
        raise Forbidden(
            "it is the scheduler's own machine or link-local, and not in EDGEPROF_NOTIFY_ALLOW"
        )
    if address.is_multicast or (address.version == 4 and address.is_reserved):
        raise Forbidden("its address is no host's")


def connection(url: SplitResult, timeout_s: float, allowed: Collection[str]) -> HTTPConnection:
    """Return a connection for a URL, not opened yet. http.client follows no redirects."""
    host = url.hostname or ""
    if url.scheme == "https":
        return _Secure(host, url.port, timeout_s, allowed)
    return _Plain(host, url.port, timeout_s, allowed)


class _Plain(HTTPConnection):
    def __init__(
        self, host: str, port: int | None, timeout_s: float, allowed: Collection[str]
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._allowed = allowed

    def connect(self) -> None:
        """Connect, where that is allowed."""
        self.sock = open_socket(self.host, self.port, self.timeout, self._allowed)


class _Secure(HTTPSConnection):
    def __init__(
        self, host: str, port: int | None, timeout_s: float, allowed: Collection[str]
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._allowed = allowed
        self._tls = ssl.create_default_context()

    def connect(self) -> None:
        """Connect, where that is allowed, and check the certificate."""
        plain: Any = open_socket(self.host, self.port, self.timeout, self._allowed)
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
