"""A secret in a URL, wherever it stands and however it is spelled, is in no message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from edgeprof.scheduler.archive import Archive
from edgeprof.shared.errors import EdgeprofError, UsageError
from edgeprof.shared.redis import client as redis_client
from edgeprof.shared.redis import url as redis_url
from edgeprof.shared.redis.url import masked
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore

#: Long and odd enough to be found in no message by chance; the odd characters part it.
PIECE = "Zq7Xw"
ODD = st.text("@:/?#&=%+ \n\t[],;äß", max_size=2)
SECRETS = st.tuples(st.just(PIECE), ODD, st.just(PIECE[::-1])).map("".join)
SPELLED: tuple[Callable[[str], str], ...] = (str, quote, lambda word: quote(word, safe=""))

SCHEMES = (
    "redis://",
    "rediss://",
    "redis+sentinel://",
    "REDIS://",
    "Redis://",
    "unix://",
    "redis:/",
    "",
)
PLACES = (
    "{s}@127.0.0.1:1/0",
    ":{s}@127.0.0.1:1/0",
    "{s}:@127.0.0.1:1/0",
    "me:{s}@127.0.0.1:1/0",
    "me:{s}@127.0.0.1:1,127.0.0.2:1/0?master=lab",
    "me%3A{s}@127.0.0.1:1/0",
    "127.0.0.1:1/0?password={s}",
    "127.0.0.1:1/0?PASSWORD={s}",
    "127.0.0.1:1/0?pass%77ord={s}",
    ":pw@127.0.0.1:1/0?password={s}",
    "127.0.0.1:1/0?{s}",
    "127.0.0.1:1/0?{s}=1",
    "127.0.0.1:1/0?username=me&ssl_password={s}",
    "127.0.0.1:1/0#{s}",
    "127.0.0.1:1/{s}",
    "127.0.0.1:{s}/0",
    ":{s}",
    "me:{s}",
    "me:{s}@",
    "/run/redis.sock?password={s}",
    "me:{s}@/run/redis.sock",
    " me:{s}@127.0.0.1:1/0 ",
)
ARCHIVES = (
    "postgresql://{s}@127.0.0.1:1/db",
    "postgresql://me:{s}@127.0.0.1:1/db",
    "postgresql+psycopg://me:{s}@127.0.0.1:1/db",
    "postgresql://127.0.0.1:1/db?password={s}",
    "postgresql://127.0.0.1:1/db?{s}=1",
    "postgresql://127.0.0.1:{s}/db",
    "POSTGRESQL://me:{s}@127.0.0.1:1/db",
    "sqlite://me:{s}@host/x",
    "mysql://me:{s}@127.0.0.1:1/db",
    "nothing://me:{s}@127.0.0.1:1/db",
    "me:{s}@127.0.0.1",
    "{s}",
)


def said(call: Callable[..., Any], *arguments: Any) -> str:
    """What a user is told, and what a log would say."""
    try:
        return str(call(*arguments))
    except EdgeprofError as error:
        return f"{error} {error.hint}"


def tells(text: str, secret: str) -> bool:
    return any(piece in text for piece in (PIECE, PIECE[::-1], secret))


def is_another_url(word: str, place: str) -> bool:
    """Whether an @ in it makes login and host of what was meant to be one word: nobody could
    tell."""
    return "@" in word and place in {
        "{s}",
        ":{s}",
        "me:{s}",
        "127.0.0.1:{s}/0",
        "postgresql://127.0.0.1:{s}/db",
    }


@given(st.sampled_from(SCHEMES), st.sampled_from(PLACES), SECRETS, st.sampled_from(SPELLED))
@example("redis://", "127.0.0.1:1/0?password={s}", f"{PIECE}@{PIECE[::-1]}", str)
@example("redis://", "me:{s}@127.0.0.1:1/0", f"{PIECE}\n{PIECE[::-1]}", str)
def test_redis_url(scheme: str, place: str, secret: str, spelled: Callable[[str], str]) -> None:
    """The masked URL, and every refusal of a URL, by each who reads one."""
    word = spelled(secret)
    assume(not is_another_url(word, place))
    url = scheme + place.format(s=word)

    calls = (masked, redis_url.scheme, redis_client.client, redis_url.SentinelUrl.parse)
    assert [call for call in calls if tells(said(call, url), secret)] == []


@given(st.sampled_from(ARCHIVES), SECRETS, st.sampled_from(SPELLED))
def test_archive_url(place: str, secret: str, spelled: Callable[[str], str]) -> None:
    """Whether the URL is malformed, its driver is missing, or nobody answers."""
    word = spelled(secret)
    assume(not is_another_url(word, place))
    url = place.format(s=word)

    text = said(Archive, url)
    assert "EDGEPROF_ARCHIVE_URL" in text
    assert not tells(text, secret)


@pytest.mark.parametrize("place", PLACES)
def test_nobody_answers(place: str, settings: Settings) -> None:
    """A store that cannot be reached is told without it, too."""
    url = "redis://" + place.format(s=PIECE)

    text = said(LabStore.open, settings.model_copy(update={"redis_url": url}))
    assert PIECE not in text


def test_what_is_no_secret_is_shown() -> None:
    """Host, port, database, master, and the user beside a password tell people which lab is
    meant."""
    assert masked("redis://me:x@lab:6379/2") == "redis://me:***@lab:6379/2"
    assert masked("redis://me@lab") == "redis://***@lab"
    assert masked("redis://[::1]:6379/0") == "redis://[::1]:6379/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://{h}/x",
        "redis://{h}/-1",
        "redis://{h}/0x1",
        "redis://{h}/1/2",
        "redis://{h}/99999999999",
        "redis://{h}/4000",
        "redis://{h}/%31",
        "redis://{h}/1.0",
        "redis://{h}/\u0661",
        "redis://{h}/0?db=x",
        "redis://{h}?db=3",
        "redis+sentinel://{h}/x?master=m",
        "redis+sentinel://{h}/-1?master=m",
        "unix:///run/redis.sock?db=x",
    ],
)
def test_a_database_that_cannot_be(url: str, settings: Settings) -> None:
    """A wrong database is refused as a wrong call by all: none falls back to another, or tries
    on."""
    assert settings.redis_url is not None
    wrong = url.format(h=settings.redis_url.removeprefix("redis://").removesuffix("/0"))

    with pytest.raises(UsageError):
        LabStore.open(settings.model_copy(update={"redis_url": wrong}))
    if not wrong.endswith("/4000"):  # that one only the server knows
        with pytest.raises(UsageError):
            redis_url.broker(wrong)
