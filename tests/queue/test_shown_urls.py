"""A URL or an object that is shown contains no password."""

from __future__ import annotations

import pytest

from edgeprof.shared.errors import UsageError
from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.url import SentinelUrl, masked
from edgeprof.shared.settings import Settings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pw@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:p%40w@h/0", "rediss://me:***@h/0"),
        ("redis://h:1", "redis://h:1"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("redis+sentinel://me:pw@a,b:1/0?master=m", "redis+sentinel://me:***@a,b:1/0?master=m"),
        ("rediss://h/0?ssl_password=pw&x=1", "rediss://h/0?ssl_password=***&***"),
        ("redis:/:pw@h/0", "***"),
        (":pw@h", "***@h"),
        ("redis://:a@b:pw@h", "redis://:***@h"),
        ("redis://:p/w?p#w@h", "redis://:***@h"),
    ],
)
def test_passwords_are_masked(url: str, shown: str) -> None:
    """No message or log shows a password."""
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://:12#s3cret@h:1/0",
        "redis://:s3c/ret@h/0",
        "redis://:12?s3cret@h/0",
        "redis://:s3cret@h:port/0",
        "redis://:s3cret@[::1/0",
        ":s3cret@h",
        "redis:s3cret@h",
    ],
)
def test_a_malformed_url_shows_no_password(url: str) -> None:
    """Half of a password would be taken for the port, and shown in an error."""
    with pytest.raises(UsageError) as refused:
        redis_client.client(url)

    text = f"{refused.value} {refused.value.hint}"
    assert not [part for part in ("s3c", "ret", "12") if part in text]


def test_objects_show_no_password(settings: Settings) -> None:
    """An object that holds a URL shows no password when it is logged."""
    url = "redis://:s3cret@h/0"
    secrets = {"redis_url": url, "archive_url": url, "alerts_token": "s3cret"}
    changed = settings.model_copy(update=secrets)

    shown = [changed, redis_server.Endpoint(url, embedded=False), SentinelUrl((), "m", 0, "u", url)]
    assert "s3cret" not in repr(shown) + str(shown)
