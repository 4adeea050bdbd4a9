"""The pages for people: what is there to see, and that links lead somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rich.console import Console

from edgeprof.cli.render.report import job_report
from edgeprof.scheduler.site.build import Announcer
from edgeprof.shared.errors import StoreUnavailable
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.site_address import base_url
from tests.support.finished_job import finished_job
from tests.support.reports import Elements, measured_job
from tests.support.served_site import ServedSite


def test_the_start_page_shows_the_lab(site: ServedSite) -> None:
    """Boards, what waits and why, and the latest results, each with a link to its page."""
    assert site.status("/") == 200

    links = [a.get("href") for tag, a in Elements(site.text).found if tag == "a"]
    assert {"/boards/native-1", "/boards/native-2", "/jobs/open1", "/jobs/emu1"} <= set(links)
    assert "2 boards; 0 running, 2 queued." in site.text
    assert "waits for a board null" in site.text
    assert re.search("reserved by ada until 20.* UTC: new kernel", site.text)


def test_every_link_leads_to_a_page(site: ServedSite) -> None:
    """From the start page on, every link is answered."""
    seen, todo = set(), ["/", "/sweeps/night-1", "/sweeps/night-2", "/jobs/failed1"]
    while todo:
        path = todo.pop()
        assert site.status(path) == 200, path
        seen.add(path)
        found = re.findall('href="(/[^"#]*)"', site.text)
        todo += [link for link in dict.fromkeys(found) if link not in {*seen, *todo}]
    assert len(seen) >= 12


def test_a_job_is_shown_from_redis_and_from_the_archive(site: ServedSite) -> None:
    """While it waits and after it has ended; only what may change is read again."""
    site.ask("/jobs/open1")
    assert 'http-equiv="refresh"' in site.text
    assert "queued" in Elements(site.text).text("span")

    site.ask("/jobs/emu1")
    assert 'http-equiv="refresh"' not in site.text
    assert "100.1 <small>± 0.1</small>" in site.text
    assert "All boards are emulated" in site.text


def test_a_sweep_tells_what_has_no_result(site: ServedSite) -> None:
    """Measured jobs with plots, and the others with the reason."""
    site.ask("/sweeps/night-1")
    assert "5 jobs: 4 measured, 0 waiting or running, 1 without a result." in site.text
    assert "does not fit" in site.text
    assert "<svg" in site.text

    site.ask("/sweeps/night-2")
    assert "2 jobs: 0 measured, 2 waiting or running, 0 without a result." in site.text


@pytest.mark.parametrize(
    "path", ["/jobs/nosuch", "/sweeps/nosuch", "/boards/nosuch", "/nosuch", "/jobs/", "/jobs/a/b",
             "/jobs/..%2F..%2Fetc", "/jobs/" + "x" * 65, "/jobs/%00", "/jobs/%3Cscript%3E"],
)  # fmt: skip
def test_what_is_not_there_is_a_page_that_says_so(site: ServedSite, path: str) -> None:
    """Status 404, in words; nothing of the path becomes HTML."""
    assert site.status(path) == 404
    assert "<h1>" in site.text
    assert "<script>alert" not in site.text
    assert len(re.findall("<script>", site.text)) == 1


def test_words_from_jobs_are_text(site: ServedSite) -> None:
    """A text that a model wrote, or a reason, that looks like HTML is shown as it is."""
    evil = "<img src=x onerror=alert(1)>"
    view = measured_job("evil", user=evil, reason=evil)
    assert view.result is not None
    case = view.result.cases[0].model_copy(update={"text": evil})
    result = view.result.model_copy(update={"cases": (case,)})
    site.archive.save([view.model_copy(update={"result": result})])

    for path in ("/", "/jobs/evil"):
        site.ask(path)
        assert "<img" not in site.text
    assert evil in Elements(site.text).text("pre")


def test_a_page_may_run_its_script_only(site: ServedSite) -> None:
    """The header has the policy that a report has inside, and no page is kept by the browser."""
    reply = site.ask("/")

    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src")
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Frame-Options"] == "DENY"


def test_a_redis_that_is_away_is_told(site: ServedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page and the API answer 503 in words, and come back with Redis. Jobs of the archive are
    shown meanwhile."""

    def away() -> Any:
        raise StoreUnavailable("no Redis answers", hint="start it")

    with monkeypatch.context() as patched:
        patched.setattr(type(site.store.boards), "all", lambda _self: away())
        assert site.status("/") == 503
        assert "no Redis answers" in site.text
        assert site.status("/api/v1/boards") == 503
    with monkeypatch.context() as patched:
        patched.setattr(type(site.store.jobs), "view", lambda *_: away())
        assert site.status("/jobs/emu1") == 200
        assert "100.1 <small>" in site.text
        assert site.status("/jobs/open1") == 503
        assert "no Redis answers" in site.text
    assert site.status("/") == 200


def test_a_fault_of_a_page_is_logged_and_not_shown(
    site: ServedSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The reader gets a page without the error's text; the log has it."""

    def broken(_self: Any, *_more: Any) -> Any:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(type(site.archive), "find", broken)
    assert site.status("/") == 500
    assert "secret detail" not in site.text
    assert "secret detail" in caplog.text


def test_commands_know_where_the_pages_are(store: LabStore, settings: Settings) -> None:
    """A scheduler says it in Redis; one that only its own machine can reach is no link elsewhere,
    and `edgeprof job` prints the job's page."""
    assert base_url(store.script, "testhost") is None

    Announcer(store.script, settings, 8001).announce_when_due()
    assert base_url(store.script, "testhost") == "http://127.0.0.1:8001"
    assert base_url(store.script, "laptop") is None

    public = settings.model_copy(update={"metrics_advertise": "lab.example"})
    Announcer(store.script, public, 8001).announce_when_due()
    assert base_url(store.script, "laptop") == "http://lab.example:8001"

    published = settings.model_copy(update={"pages_url": "https://lab.example/edgeprof/"})
    Announcer(store.script, published, 8001).announce_when_due()
    assert base_url(store.script, "laptop") == "https://lab.example/edgeprof"

    store.script.redis.set("edgeprof:pages", "javascript:alert(1)")
    assert base_url(store.script, "testhost") is None

    console = Console(width=200)
    with console.capture() as shown:
        console.print(job_report(finished_job("j"), None, "http://lab.example:8001/jobs/j"))
    assert "http://lab.example:8001/jobs/j" in shown.get()


def test_two_selections_are_compared(site: ServedSite) -> None:
    """With the verdict of each row; without selections a form asks for them, and what names nothing
    or has nothing in common is said."""
    site.ask("/compare")
    assert [a["name"] for tag, a in Elements(site.text).found if tag == "input"] == ["a", "b"]

    assert site.status("/compare?a=chipQ8_0&b=night-1") == 200
    assert "job chipQ8_0 → sweep night-1" in Elements(site.text).text("h1")
    assert "decode tg32 @ d64" in site.text
    assert "1 job(s) are on both sides" in site.text

    assert site.status("/compare?a=chipQ8_0&b=emu1") == 400
    assert "nothing in common" in site.text
    assert site.status("/compare?a=nosuch&b=emu1") == 404
    assert site.status("/compare?a=%3Cb%3E&b=emu1") == 404
    assert "<b>" not in site.text
