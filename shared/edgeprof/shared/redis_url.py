"""What EDGEPROF_REDIS_URL may say, and how the same place is told to redis-py and to Celery.

redis://user:password@host:6379/0                        one server
rediss://host:6379/0?ssl_ca_certs=/etc/lab/ca.crt        the same over TLS
redis+sentinel://user:password@h1:26379,h2:26379/0?master=lab   the master that these Sentinels name
unix:///run/redis.sock
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from edgeprof.shared.errors import UsageError

SENTINEL: Final = "redis+sentinel"
SCHEMES: Final = ("redis", "rediss", "unix", SENTINEL)

_HINT: Final = (
    "EDGEPROF_REDIS_URL looks like redis://user:password@host:6379/0; in a password write @ as %40,"
    " : as %3A, / as %2F, # as %23"
)
_SENTINEL_PORT: Final = 26379


def masked(url: str) -> str:
    """Return the URL with its passwords hidden, for messages and logs."""
    # No URL at all: whatever stands before the host may be secret.
    if not re.match(r"[^/?@]+://", url):
        return re.sub(r"^.*@", "***@", url)
    login_hidden = re.sub(r"^([^/?]+://[^:@/?]*):.*@", r"\1:***@", url)
    return re.sub(r"([?&]\w*password=)[^&]*", r"\1***", login_hidden)


def scheme(url: str) -> str:
    """Return the scheme, or raise UsageError when it is not one of ours."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    # A # or / of the password would make host and port of what stands before it, to be shown in errors.
    torn = parts.scheme != "unix" and "@" in parts.path + parts.query
    if parts.scheme not in SCHEMES or parts.fragment or torn:
        raise UsageError(f"{masked(url)!r} is not a Redis URL", hint=_HINT)
    return parts.scheme


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """A redis+sentinel:// URL. User and password are those of master and replicas, not of the Sentinels."""

    addresses: tuple[tuple[str, int], ...]
    master: str
    db: int
    username: str | None
    password: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raise UsageError that says what is missing."""
        parts = urlsplit(url)
        userinfo, _, hosts = parts.netloc.rpartition("@")
        user, _, password = userinfo.partition(":")
        master = parse_qs(parts.query).get("master", [""])[0]
        try:
            addresses = tuple(_address(host) for host in hosts.split(",") if host)
            db = int(parts.path.strip("/") or 0)
        except ValueError:
            addresses, db = (), 0
        if not addresses or not master:
            raise UsageError(
                f"{masked(url)!r} names no Sentinels or no master",
                hint="redis+sentinel://user:password@host1:26379,host2:26379/0?master=NAME",
            )
        return cls(addresses, master, db, unquote(user) or None, unquote(password) or None)


def _address(host: str) -> tuple[str, int]:
    name, _, port = host.partition(":")
    return name, int(port or _SENTINEL_PORT)


def broker(url: str) -> tuple[str, dict[str, Any]]:
    """Return the URL and the transport options by which Celery finds the same Redis."""
    if scheme(url) == SENTINEL:
        found = SentinelUrl.parse(url)
        login = ""
        if found.password:
            login = f"{quote(found.username or '', safe='')}:{quote(found.password, safe='')}@"
        servers = [f"sentinel://{login}{host}:{port}/{found.db}" for host, port in found.addresses]
        return ";".join(servers), {"master_name": found.master}
    if url.startswith("rediss:") and "ssl_cert_reqs=" not in url:
        # kombu takes a bare rediss:// for "verify nothing", redis-py for "verify".
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required", {}
    if url.startswith("unix:"):
        return "redis+socket:" + url.removeprefix("unix:"), {}
    return url, {}
