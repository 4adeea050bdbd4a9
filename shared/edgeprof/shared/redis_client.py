"""One way to reach Redis, and one line that says why it could not be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from edgeprof.shared import redis_url
from edgeprof.shared.errors import StoreRefused, StoreUnavailable, UsageError
from edgeprof.shared.redis_url import masked

#: Few, short retries: every script may be repeated.
_OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": 10,
    "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
}
_TCP: Final[dict[str, Any]] = {"socket_connect_timeout": 5, "socket_keepalive": True}


def client(url: str) -> Redis:
    """Make a client; nothing is sent yet."""
    scheme = redis_url.scheme(url)
    options = _OPTIONS if scheme == "unix" else _OPTIONS | _TCP
    if scheme == redis_url.SENTINEL:
        return _master(redis_url.SentinelUrl.parse(url), options)
    try:
        redis = Redis.from_url(url, **options)
        redis.connection_pool.make_connection()  # sends nothing, and finds options that it does not have
    except (ValueError, TypeError):  # their words may be a part of the password
        raise UsageError(f"{masked(url)!r} is not a Redis URL") from None
    return redis


def greet(redis: Redis, url: str) -> None:
    """See that Redis answers. Raises UsageError when it has no database of the URL's number."""
    try:
        with store_errors(url):
            redis.ping()
    except StoreRefused as error:
        if "DB index" not in str(error):
            raise
        raise UsageError(
            f"Redis at {masked(url)} has no database of that number",
            hint="EDGEPROF_REDIS_URL ends in /0, or in a number below the setting `databases` of that Redis",
        ) from None


def _master(place: redis_url.SentinelUrl, options: dict[str, Any]) -> Redis:
    """Make a client that asks the Sentinels for the master at each new connection."""
    sentinel = Sentinel(place.addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
    login = {"username": place.username, "password": place.password}
    master = sentinel.master_for(place.master, db=place.db, **login, **options)  # type: ignore[no-untyped-call]
    assert isinstance(master, Redis)
    return master


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
    # In a script it is another error, known by its words only.
    if isinstance(error, exceptions.NoPermissionError) or "user executing the script" in str(error):
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
