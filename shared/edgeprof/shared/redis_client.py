"""One way to reach Redis, and one line that says why it could not be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

from edgeprof.shared.errors import StoreRefused, StoreUnavailable, UsageError

SCHEMES = ("redis", "rediss", "unix")


def masked(url: str) -> str:
    """Return the URL with its password hidden, for messages and logs."""
    parts = urlsplit(url)
    if not parts.password:
        return url
    userinfo, _, address = parts.netloc.rpartition("@")
    user = userinfo.split(":", 1)[0]
    return urlunsplit(parts._replace(netloc=f"{user}:***@{address}"))


def client(url: str) -> Redis:
    """Make a client; nothing is sent yet. Few, short retries: every script may be repeated."""
    if urlsplit(url).scheme not in SCHEMES:
        raise UsageError(
            f"{masked(url)!r} is not a Redis URL",
            hint="EDGEPROF_REDIS_URL looks like redis://user:password@host:6379/0",
        )
    try:
        return Redis.from_url(
            url,
            socket_timeout=10,
            socket_connect_timeout=5,
            socket_keepalive=True,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
        )
    except ValueError as error:
        raise UsageError(f"{masked(url)!r} is not a Redis URL: {error}") from None


#: Answers of a Redis that is there and cannot write, for us or for anybody.
_CANNOT_WRITE = (
    exceptions.BusyLoadingError,
    exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError,
)


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn redis-py's exceptions into ours: one line that names the URL, password masked."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        ours = _translated(error, masked(url))
        ours.grants_nobody = _grants_nobody(error)
        raise ours from error


def _grants_nobody(error: Exception) -> bool:
    """Whether no server was there, or one that cannot write. A partition shows as neither."""
    refused = isinstance(error.__context__, ConnectionRefusedError)
    return refused or isinstance(error, _CANNOT_WRITE) or str(error).startswith("MISCONF")


def _translated(error: Exception, where: str) -> StoreRefused | StoreUnavailable:
    if isinstance(error, exceptions.AuthenticationError):
        return StoreRefused(
            f"Redis at {where} refused the login: {error}",
            hint="check user and password in EDGEPROF_REDIS_URL",
        )
    if isinstance(error, exceptions.NoPermissionError):
        return StoreRefused(
            f"Redis at {where} does not let this user do that: {error}",
            hint="client, worker and scheduler have users of their own: deploy/redis/users.acl",
        )
    if isinstance(error, exceptions.InvalidResponse):
        return StoreRefused(f"what answers at {where} is not a Redis: {error}")
    if isinstance(error, (exceptions.ConnectionError, exceptions.TimeoutError, OSError)):
        return StoreUnavailable(
            f"Redis at {where} cannot be reached: {error}",
            hint="is it running, and is EDGEPROF_REDIS_URL right?",
        )
    return StoreRefused(f"Redis at {where} refused: {error}")
