"""Who may read the pages and the API: everybody on this machine, beyond it those with the token."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from edgeprof.shared.settings import Settings
from tests.site.conftest import fill
from tests.support.served_site import ServedSite, password, serve_site

TOKEN = "t0ken-of-this-lab"
ANOTHERS = "t0ken-of-another-lab"
PATHS = ["/", "/jobs/emu1", "/api/v1/results", "/api/v1/openapi.json", "/nosuch"]


@pytest.fixture
def guarded(settings: Settings) -> Iterator[ServedSite]:
    changed = {"metrics_bind": "0.0.0.0", "pages_token": TOKEN}
    with serve_site(settings.model_copy(update=changed)) as served:
        fill(served)
        yield served


def test_beyond_loopback_nobody_reads_without_a_token(settings: Settings) -> None:
    """Where none is set, pages and API are refused, with the setting's name; what Prometheus reads
    goes on."""
    with serve_site(settings.model_copy(update={"metrics_bind": "0.0.0.0"})) as site:
        for path in PATHS:
            assert site.status(path) == 403
            assert "EDGEPROF_PAGES_TOKEN" in site.text
            assert site.status(path, Authorization="Bearer anything") == 403
        for path in ("/metrics", "/health", "/targets/device-metrics", "/runbooks"):
            assert site.status(path) == 200


def test_the_token_opens_every_page(guarded: ServedSite) -> None:
    """Typed by a person as the password, with any user name, or sent by a program as a bearer
    token."""
    for path in PATHS[:-1]:
        assert guarded.status(path, Authorization=password(TOKEN)) == 200
        assert guarded.status(path, Authorization=password(TOKEN, "")) == 200
        assert guarded.status(path, Authorization=f"Bearer {TOKEN}") == 200
        assert guarded.status(path, "HEAD", Authorization=f"bearer {TOKEN}") == 200
    assert guarded.status("/nosuch", Authorization=password(TOKEN)) == 404


def test_anothers_token_opens_nothing(
    guarded: ServedSite, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong one, a part of the right one, or one in the URL: the browser is told to ask for it,
    and neither token is in an answer or a log."""
    caplog.set_level(logging.DEBUG)
    wrong = [
        password(ANOTHERS), password(TOKEN[:-1]), password(TOKEN + "x"), password(""),
        f"Bearer {ANOTHERS}", "Bearer", "Basic", "Basic !!!", f"Basic {TOKEN}", TOKEN, "",
        f"Digest {TOKEN}", password(f"{ANOTHERS}:{TOKEN}"),
    ]  # fmt: skip
    for path in PATHS:
        for authorization in wrong:
            reply = guarded.ask(path, Authorization=authorization)
            assert reply.status == 401, authorization
            assert reply.headers["WWW-Authenticate"] == 'Basic realm="edgeprof", charset="UTF-8"'
            assert TOKEN not in guarded.text
            assert ANOTHERS not in guarded.text
    assert guarded.status(f"/?token={TOKEN}") == 401
    said = [record.getMessage() for record in caplog.records if "GET /?token" not in record.msg]
    assert not any(ANOTHERS in line for line in said)


def test_a_token_that_is_set_is_asked_for_on_loopback_too(settings: Settings) -> None:
    """On a machine with many users, it keeps the others out."""
    with serve_site(settings.model_copy(update={"pages_token": TOKEN})) as site:
        assert site.status("/") == 401
        assert site.status("/", Authorization=password(TOKEN)) == 200
        assert TOKEN not in repr(settings.model_copy(update={"pages_token": TOKEN}))


def test_another_site_cannot_use_a_readers_login(guarded: ServedSite) -> None:
    """A browser sends its login with each request, also one that another site's page makes: that
    is refused before the token is looked at. A link from there may be followed."""
    login = password(TOKEN)
    assert guarded.status("/", Authorization=login, Origin="http://evil.example") == 403
    assert guarded.status("/", Authorization=login, Sec_Fetch_Site="cross-site") == 403
    followed = {
        "Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"
    }  # fmt: skip
    assert guarded.status("/", Authorization=login, **followed) == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_pages_and_api_only_read(guarded: ServedSite, method: str) -> None:
    """Every other method is refused, whoever asks."""
    for path in ("/", "/jobs/emu1", "/api/v1/jobs"):
        reply = guarded.ask(path, method, Authorization=password(TOKEN))
        assert reply.status == 405
        assert reply.headers["Allow"] == "GET, HEAD"
