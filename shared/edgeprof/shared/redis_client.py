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


@contextmanager
def store_errors(url: str) -> Iterator[None]:
    """Turn redis-py's exceptions into ours: one line that names the URL, password masked."""
    where = masked(url)
    try:
        yield
    except exceptions.AuthenticationError as error:
        raise StoreRefused(
            f"Redis at {where} refused the login: {error}",
            hint="check user and password in EDGEPROF_REDIS_URL",
        ) from error
    except exceptions.InvalidResponse as error:
        raise StoreRefused(f"what answers at {where} is not a Redis: {error}") from error
    except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
        raise StoreUnavailable(
            f"Redis at {where} cannot be reached: {error}",
            hint="is it running, and is EDGEPROF_REDIS_URL right?",
        ) from error
    except exceptions.ResponseError as error:
        raise StoreRefused(f"Redis at {where} refused: {error}") from error
