"""Who is answered over HTTP: asked for under our name, by no other site, in the right way, with the
token.

It is long because it is a list of requests to one server.
"""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry import connections
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_gate import Gate

TOKEN = "t0ken-of-this-lab"
ALERTS = json.dumps({"alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}).encode()
JSON: dict[str, str | None] = {"Content_Type": "application/json"}
PATHS = ["/metrics", "/health", "/targets/device-metrics", "/runbooks", "/alerts", "/nothing"]

Serve = Callable[..., "Served"]


class Served:
    def __init__(self, endpoint: Endpoint) -> None:
        self.port = endpoint.port
        self.own = f"127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str | None) -> Any:
        """Headers by name with _ for -; None leaves out what http.client would send."""
        sent = {"Host": self.own} | {k.replace("_", "-"): v for k, v in headers.items()}
        if body is not None:
            sent.setdefault("Content-Length", str(len(body)))
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        self.text = reply.read().decode()
        connection.close()
        return reply

    def status(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> int:
        return int(self.ask(method, path, body, **headers).status)

    def post(self, body: bytes = ALERTS, **headers: str | None) -> int:
        return self.status("POST", "/alerts", body, **(JSON | headers))


class NoHosts:
    def all(self) -> list[Any]:
        return []


class Store:
    hosts = NoHosts()


@pytest.fixture(scope="module")
def serve() -> Iterator[Serve]:
    """`serve(**settings)`: the scheduler's pages, the same ones for the same settings."""
    made: dict[str, Endpoint] = {}

    def start(**changed: Any) -> Served:
        ours = Settings(host="testhost", metrics_bind="127.0.0.1").model_copy(update=changed)
        if str(changed) not in made:
            page = pages(Store(), ours, Liveness(3600))  # type: ignore[arg-type]
            made[str(changed)] = Endpoint(
                CollectorRegistry(), ours.metrics_bind, 0, page, Gate.of(ours)
            )
        return Served(made[str(changed)])

    yield start
    for endpoint in made.values():
        endpoint.close()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8001", "localhost.evil.example", "127.0.0.1.evil.example",
     "localhost@evil.example", "localhost,evil.example", "localhost evil", "[::1", "", None],
)  # fmt: skip
def test_no_page_is_given_under_another_name(serve: Serve, path: str, host: str | None) -> None:
    """A name that an attacker leads here (DNS rebinding) gets nothing, by any method."""
    served = serve()
    for method in ("GET", "HEAD", "POST", "OPTIONS"):
        reply = served.ask(method, path, b"{}", Host=host, Content_Type="application/json")
        assert reply.status == 403
        assert reply.headers["Access-Control-Allow-Origin"] is None
    assert "EDGEPROF_HTTP_NAMES" in served.text or method == "OPTIONS"


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8001", "localhost.", "127.0.0.1", "[::1]:8001", "192.168.1.7:80",
     "testhost:8001", "prom.name:8001", "proxy.example", "other.example:443"],
)  # fmt: skip
def test_our_own_names_are_answered(serve: Serve, host: str) -> None:
    """Loopback, addresses, the host's name, the advertised name and added ones, with any port."""
    served = serve(metrics_advertise="prom.name", http_names="proxy.example,other.example")
    assert served.status("GET", "/metrics", Host=host) == 200


def test_a_refused_name_is_told_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """A refused host name is logged once, so that a thousand requests do not fill the log."""
    served = serve(http_names="told.example")
    for index in range(50):
        for _ in range(2):
            served.status("GET", "/metrics", Host=f"n{index}.example")

    told = [record.getMessage() for record in caplog.records]
    assert sum("n0.example" in line for line in told) == 1
    assert len(told) == 10


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://["},
        {"Origin": "http://evil.example", "Sec_Fetch_Site": "same-origin"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", PATHS)
def test_another_site_is_refused(serve: Serve, path: str, headers: dict[str, Any]) -> None:
    """A request that a browser says came from another site is answered on no page."""
    served = serve()
    assert served.status("GET", path, **headers) == 403
    assert served.status("POST", path, ALERTS, **headers, Content_Type="application/json") == 403


def test_a_link_may_be_followed_and_no_form_be_sent(serve: Serve) -> None:
    """A runbook opens from a chat; the same by POST is a form of another site."""
    served = serve()
    link: dict[str, Any] = {
        "Sec_Fetch_Site": "cross-site",
        "Sec_Fetch_Mode": "navigate",
        "Sec_Fetch_Dest": "document",
    }

    assert served.status("GET", "/runbooks", **link) == 200
    assert served.post(**link) == 403
    assert served.post(Origin=f"http://{served.own}", Sec_Fetch_Site="same-origin") == 200


@pytest.mark.parametrize("path", [path for path in PATHS if path != "/nothing"])
@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "GET", "HEAD"]
)
def test_each_page_takes_its_methods_only(serve: Serve, path: str, method: str) -> None:
    """Pages are read, alerts are posted: all else is 405, and says what is allowed."""
    served = serve()
    allowed = {"POST"} if path == "/alerts" else {"GET", "HEAD"}
    reply = served.ask(
        method, path, ALERTS if method == "POST" else None, Content_Type="application/json"
    )

    assert (reply.status == 405) == (method not in allowed)
    if reply.status == 405:
        assert set(reply.headers["Allow"].split(", ")) == allowed
    if method == "HEAD":
        assert served.text == ""


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content_Type": "text/plain"}, ALERTS, 415),
        ({"Content_Type": "application/x-www-form-urlencoded"}, ALERTS, 415),
        ({"Content_Type": "multipart/form-data; boundary=application/json"}, ALERTS, 415),
        ({"Content_Type": None}, ALERTS, 415),
        ({"Content_Type": "Application/JSON; charset=utf-8"}, ALERTS, 200),
        ({"Content_Length": "-1"}, ALERTS, 400),
        ({"Content_Length": "1e3"}, ALERTS, 400),
        ({"Content_Length": "٣"}, ALERTS, 400),
        ({"Content_Length": "9" * 5000}, ALERTS, 400),
        ({"Content_Length": None}, ALERTS, 411),
        ({"Transfer_Encoding": "chunked"}, ALERTS, 411),
        ({"Content_Length": "2000000"}, b"", 413),
        ({}, b"x" * 3_000_000, 413),
    ],
    ids=str,
)
def test_what_is_posted_has_a_form(
    serve: Serve, headers: dict[str, Any], body: bytes, status: int
) -> None:
    """Each wrong form has its answer, which arrives although the body was not read."""
    if headers.get("Content_Length"):
        headers = headers | {"Content_Length": headers["Content_Length"].encode()}
    assert serve().post(body, **headers) == status


def test_half_a_body_is_none(serve: Serve) -> None:
    """A connection that ends within the body posts nothing."""
    served = serve()
    head = f"POST /alerts HTTP/1.1\r\nHost: {served.own}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", served.port), 10) as sender:
        sender.sendall(f"{head}Content-Length: {len(ALERTS) + 5}\r\n\r\n".encode() + ALERTS)
        sender.shutdown(socket.SHUT_WR)
        assert b" 400 " in sender.recv(100)


def test_open_to_others_needs_a_token(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Beyond loopback nothing is posted without one, and the answer names the setting; reading goes
    on."""
    served = serve(metrics_bind="0.0.0.0")
    with caplog.at_level(logging.INFO, logger="profiler.alerts"):
        assert served.post() == 403
        assert "EDGEPROF_ALERTS_TOKEN" in served.text
        assert served.post(Authorization="Bearer anything") == 403
    assert not caplog.records
    assert served.status("GET", "/metrics") == 200


@pytest.mark.parametrize("bind", ["0.0.0.0", "127.0.0.1"])
def test_a_token_that_is_set_is_asked_for(serve: Serve, bind: str) -> None:
    """Everywhere, as a bearer token, whole; it is in no answer and no repr."""
    served = serve(metrics_bind=bind, alerts_token=TOKEN)

    assert served.post(Authorization=f"Bearer {TOKEN}") == 200
    assert served.post(Authorization=f"bearer  {TOKEN}") == 200
    for wrong in (
        None,
        "",
        "Bearer",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        TOKEN,
    ):
        reply = served.ask(
            "POST", "/alerts", ALERTS, Authorization=wrong, Content_Type="application/json"
        )
        assert reply.status == 401
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        assert TOKEN not in served.text


def test_nobody_frames_or_embeds_a_page(serve: Serve) -> None:
    """Every answer says so to the browser, refusals too."""
    for path in PATHS:
        headers = serve().ask("GET", path).headers
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_slow_clients_shut_nobody_out(serve: Serve, wait_until: Callable[..., None]) -> None:
    """An honest client is answered however many silent connections are open, and threads stay
    few."""
    served = serve()
    slow = []
    try:
        for _ in range(300):
            slow.append(socket.create_connection(("127.0.0.1", served.port), 10))
            slow[-1].sendall(b"GET /metrics HTTP/1.1\r\nX-")
        assert served.status("GET", "/metrics") == 200
        assert len(_serving()) <= 128
    finally:
        for connection in slow:
            connection.close()
    wait_until(lambda: not _serving(), "the threads have ended")


def test_a_drip_of_bytes_holds_no_connection(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of a connection is counted in all, not from byte to byte."""
    monkeypatch.setattr(connections, "_LONGEST_S", 1.0)
    served = serve()
    started_s = time.monotonic()
    with socket.create_connection(("127.0.0.1", served.port), 0.1) as drip:
        while time.monotonic() < started_s + 20:
            try:
                drip.sendall(b"G")
                if not drip.recv(1):
                    break
            except TimeoutError:
                continue
            except OSError:
                break
    assert 1.0 <= time.monotonic() - started_s < 10


def _serving() -> list[str]:
    return [t.name for t in threading.enumerate() if "process_request_thread" in t.name]
