"""Parses EDGEPROF_REDIS_URL, masks it for messages, and translates it for Celery.

redis://user:password@host:6379/0                        one server
rediss://host:6379/0?ssl_ca_certs=/etc/lab/ca.crt        the same over TLS
redis+sentinel://user:password@h1:26379,h2:26379/0?master=lab
                                                         the master that these Sentinels name
unix:///run/redis.sock?db=0
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote

from edgeprof.shared.errors import UsageError

SENTINEL: Final = "redis+sentinel"
SCHEMES: Final = ("redis", "rediss", "unix", SENTINEL)

_HINT: Final = (
    "EDGEPROF_REDIS_URL looks like redis://user:password@host:6379/0; in a password write @ as %40,"
    " : as %3A, / as %2F, # as %23"
)
_UNIX_HINT: Final = (
    "EDGEPROF_REDIS_URL looks like unix:///run/redis.sock?db=0: three slashes and the whole path of"
    " the socket, then the number of the database"
)
_SENTINEL_PORT: Final = 26379
#: Redis counts databases in an int; how many there are is the server's setting `databases`.
_MOST_DATABASES: Final = 2**31

_SCHEME: Final = rf"(?P<scheme>{'|'.join(map(re.escape, SCHEMES))})://"
#: One or more hosts with ports, and a path: nothing in it can be a login.
_PLACE: Final = r"(?P<hosts>[A-Za-z0-9._,:\[\]-]*)(?P<path>/[^?#@\s]*)?"
#: The whole URL. It is stricter than urlsplit: no part of a password is ever taken for another
#: part.
_URL: Final = re.compile(
    _SCHEME
    + r"(?:(?P<user>[^:@/?#\s]*)(?P<colon>:[^@/?#\s]*)?@)?"
    + _PLACE
    + r"(?:\?(?P<query>[^#@\s]*))?",
    re.ASCII,
)
_HOST: Final = re.compile(
    r"|(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)

#: The path after the host is a database number, or empty.
_NUMBER: Final = re.compile(r"(/[0-9]{0,10})?", re.ASCII)

#: Options of a URL that are no secret and are shown.
_SHOWN: Final = {
    "master",
    "db",
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_certfile",
    "ssl_check_hostname",
}


def masked(url: str) -> str:
    """Return the URL for messages and logs, without anything that may be secret.

    A user name without a password is hidden, too: people paste the password there.
    """
    parts = _URL.fullmatch(url)
    if parts is None or not _hosts_are_valid(parts):
        return _masked_wreck(url)
    user, after = parts["user"], parts["colon"]
    login = ""
    if user is not None:
        login = f"{user}:***@" if after and after != ":" else "***@"
    path = parts["path"] or ""
    if parts["scheme"] != "unix" and not _NUMBER.fullmatch(path):
        path = "/***"
    query = "" if parts["query"] is None else "?" + _masked_query(parts["query"])
    return f"{parts['scheme']}://{login}{parts['hosts']}{path}{query}"


def _masked_query(query: str) -> str:
    """Return the options of a URL, showing only those that are known to be no secret."""
    pairs = [part.partition("=") for part in query.split("&")]
    return "&".join(
        f"{name}={value}"
        if name in _SHOWN
        else f"{name}=***"
        if re.fullmatch(r"\w*password", name)
        else "***"
        for name, _, value in pairs
    )


def _masked_wreck(url: str) -> str:
    """Mask a malformed URL: only a plain host, port and database after a login are shown."""
    scheme = re.match(_SCHEME, url)
    shown = scheme[0] if scheme else ""
    before, login, place = url[len(shown) :].rpartition("@")
    found = re.fullmatch(_PLACE, place, re.ASCII)
    is_place = found is not None and _NUMBER.fullmatch(found["path"] or "") is not None
    # After a host, a path or an option the @ is a part of something else. A login without a user is
    # none of these.
    maybe_behind = re.search(r"[/?#]", before) and (before[0] != ":" or "@" in before)
    if not login or not is_place or maybe_behind:
        return shown + "***"
    colon = ":" if scheme and before.startswith(":") else ""
    return f"{shown}{colon}***@{place}"


def _hosts_are_valid(parts: re.Match[str]) -> bool:
    if parts["scheme"] == "unix":
        return not parts["hosts"]
    hosts = parts["hosts"].split(",") if parts["scheme"] == SENTINEL else [parts["hosts"]]
    found = [_HOST.fullmatch(host) for host in hosts]
    return all(host is not None and int(host["port"] or 1) in range(1, 65536) for host in found)


def scheme(url: str) -> str:
    """Return the scheme. Raises UsageError for a URL that redis-py or kombu does not understand."""
    parts = _URL.fullmatch(url)
    if parts is None or not _hosts_are_valid(parts):
        hint = _UNIX_HINT if url.startswith("unix:") else _HINT
        raise UsageError(f"{masked(url)!r} is not a Redis URL", hint=hint)
    _check_options(url, parts)
    _database(parts)
    return parts["scheme"]


def _check_options(url: str, parts: re.Match[str]) -> None:
    """Refuse options that only one of redis-py and kombu has: they would reach two places."""
    known = {"unix": r"db", SENTINEL: r"master", "rediss": r"ssl_\w+"}.get(parts["scheme"], r"(?!)")
    names = [name for name, _ in parse_qsl(parts["query"] or "", keep_blank_values=True)]
    if not all(re.fullmatch(known, name) for name in names):
        raise UsageError(
            f"{masked(url)!r} has an unknown option after the ?",
            hint="user and password stand before the host, the number of the database behind it:"
            " redis://user:password@host:6379/0; options are ssl_… for rediss://, master for"
            " redis+sentinel://, db for unix://",
        )


def _database(parts: re.Match[str]) -> int:
    if parts["scheme"] == "unix":
        numbers = [value for _, value in parse_qsl(parts["query"] or "", keep_blank_values=True)]
    else:
        numbers = [(parts["path"] or "/").removeprefix("/") or "0"]
    number = numbers[-1] if numbers else "0"
    if re.fullmatch(r"[0-9]{1,10}", number, re.ASCII) and int(number) < _MOST_DATABASES:
        return int(number)
    if parts["scheme"] == "unix":
        raise UsageError(
            "EDGEPROF_REDIS_URL names no database of Redis: db= is followed by no such number",
            hint=_UNIX_HINT,
        )
    raise UsageError(
        "EDGEPROF_REDIS_URL names no database of Redis: what follows the host is no such number",
        hint="EDGEPROF_REDIS_URL ends in /0, or the number of another database of that Redis",
    )


@dataclass(frozen=True, slots=True)
class SentinelUrl:
    """A redis+sentinel:// URL. Its login is for master and replicas, not for the Sentinels."""

    addresses: tuple[tuple[str, int], ...]
    master: str
    db: int
    username: str | None
    password: str | None = field(repr=False)

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raise UsageError that says what is missing."""
        scheme(url)
        parts = _URL.fullmatch(url)
        assert parts is not None
        master = dict(parse_qsl(parts["query"] or "")).get("master", "")
        addresses = tuple(_address(host) for host in parts["hosts"].split(",") if host)
        if not addresses or not master:
            raise UsageError(
                f"{masked(url)!r} names no Sentinels or no master",
                hint="redis+sentinel://user:password@host1:26379,host2:26379/0?master=NAME",
            )
        user, password = parts["user"] or "", (parts["colon"] or "").removeprefix(":")
        db = _database(parts)
        return cls(addresses, master, db, unquote(user) or None, unquote(password) or None)


def _address(host: str) -> tuple[str, int]:
    found = _HOST.fullmatch(host)
    assert found is not None
    return found["name"].strip("[]"), int(found["port"] or _SENTINEL_PORT)


def broker(url: str) -> tuple[str, dict[str, Any]]:
    """Return the URL and the transport options by which Celery finds the same Redis."""
    if scheme(url) == SENTINEL:
        found = SentinelUrl.parse(url)
        login = ""
        if found.username or found.password:
            user, password = (
                quote(word or "", safe="") for word in (found.username, found.password)
            )
            login = f"{user}:{password}@"
        servers = [f"sentinel://{login}{host}:{port}/{found.db}" for host, port in found.addresses]
        return ";".join(servers), {"master_name": found.master}
    if url.startswith("rediss:") and "ssl_cert_reqs=" not in url:
        # Without the option kombu verifies no certificate; redis-py does.
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required", {}
    if url.startswith("unix:"):
        return "redis+socket:" + url.removeprefix("unix:").replace("?db=", "?virtual_host="), {}
    return url, {}
