"""One way to reach Redis, and one line that says why it could not be reached."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from redis import Redis, exceptions
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from edgeprof.shared.errors import StoreRefused, UsageError
from edgeprof.shared.redis import replies
from edgeprof.shared.redis import url as redis_url
from edgeprof.shared.redis.url import masked

#: A few short retries are safe, as any script may run twice. A timeout is not retried: a stopped
#: server would cost three of them.
_OPTIONS: Final[dict[str, Any]] = {
    "socket_timeout": 10,
    "retry": Retry(
        ExponentialBackoff(cap=0.5, base=0.05), 2, supported_errors=(exceptions.ConnectionError,)
    ),
}
_TCP: Final[dict[str, Any]] = {"socket_connect_timeout": 5, "socket_keepalive": True}

#: How long a service waits for the first answer. A worker or scheduler that gives up must be
#: started again, so it waits longer for a busy Redis than a person does.
SERVICE_ANSWER_S: Final = 4.0
#: With the start of Python, a person learns within three seconds that Redis does not answer.
PERSON_ANSWER_S: Final = 2.0


def client(url: str, answer_s: float | None = None) -> Redis:
    """Make a client that waits for an answer up to answer_s, or 10 s; nothing is sent yet."""
    options = _OPTIONS if answer_s is None else _OPTIONS | {"socket_timeout": answer_s}
    return _client(url, options, _TCP)


def greet(url: str, answer_s: float = SERVICE_ANSWER_S) -> None:
    """Check that Redis answers a PING within `answer_s`.

    Raises StoreUnavailable or StoreRefused, and UsageError when it has no database of that
    number.
    """
    options = _OPTIONS | {"socket_timeout": answer_s}
    redis = _client(url, options, _TCP | {"socket_connect_timeout": answer_s})
    try:
        with store_errors(url):
            redis.ping()
    except StoreRefused as error:
        if "DB index" not in str(error):
            raise
        raise UsageError(
            f"Redis at {masked(url)} has no database of that number",
            hint="EDGEPROF_REDIS_URL ends in /0, or in a number below the setting `databases` of"
            " that Redis",
        ) from None
    finally:
        redis.close()


def _client(url: str, options: dict[str, Any], tcp: dict[str, Any]) -> Redis:
    scheme = redis_url.scheme(url)
    if scheme != "unix":
        options = options | tcp
    if scheme == redis_url.SENTINEL:
        return _master(redis_url.SentinelUrl.parse(url), options)
    try:
        redis = Redis.from_url(url, **options)
        redis.connection_pool.make_connection()  # sends nothing; refuses unknown options
    except (ValueError, TypeError):  # its message may have a part of the password
        raise UsageError(f"{masked(url)!r} is not a Redis URL") from None
    return redis


def _master(place: redis_url.SentinelUrl, options: dict[str, Any]) -> Redis:
    """Make a client that asks the Sentinels for the master at each new connection."""
    sentinel = Sentinel(place.addresses, sentinel_kwargs=options)  # type: ignore[no-untyped-call]
    login = {"username": place.username, "password": place.password}
    master = sentinel.master_for(place.master, db=place.db, **login, **options)  # type: ignore[no-untyped-call]
    assert isinstance(master, Redis)
    return master


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn redis-py's exceptions into ours: one line that names the URL, password masked."""
    try:
        yield
    except (exceptions.RedisError, OSError) as error:
        raise replies.translated(error, masked(url)) from error
