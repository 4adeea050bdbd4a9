"""What the scheduler serves beside metrics: service discovery, health, alerts, runbooks."""

from __future__ import annotations

import json
import logging
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.hosts import HostClash, HostInfo
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_posts import Post

Fetch = Callable[..., Any]


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(0.2)


@pytest.fixture
def fetch(store: LabStore, settings: Settings, liveness: Liveness) -> Iterator[Fetch]:
    """`fetch("/path", body=None)` returns (status, text)."""
    endpoint = Endpoint(CollectorRegistry(), "127.0.0.1", 0, pages(store, settings, liveness))

    def get(path: str, body: bytes | None = None) -> tuple[int, str]:
        headers = {} if body is None else {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{endpoint.port}{path}"
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    yield get
    endpoint.close()


def info(host: str, port: int, machine: str = "") -> HostInfo:
    return HostInfo(
        machine=machine,
        host=host,
        pid=os.getpid(),
        sessions_address=f"{host}:{port}",
        devices_address=f"{host}:{port + 1}",
    )


def test_new_host_is_discovered(store: LabStore, fetch: Fetch) -> None:
    """An announced agent is in both lists, in Prometheus' format, with its name as a label."""
    store.hosts.announce(info("a", 8000))

    sessions = json.loads(fetch("/targets/tiny-llm-profiler")[1])
    devices = json.loads(fetch("/targets/device-metrics")[1])
    assert sessions == [{"targets": ["a:8000"], "labels": {"host": "a"}}]
    assert devices == [{"targets": ["a:8001"], "labels": {"host": "a"}}]


def test_second_machine_of_a_name_is_not_listed(store: LabStore, fetch: Fetch) -> None:
    """A second machine of one name is told how to get its own; it may have the name once the first
    has gone."""
    store.hosts.announce(info("a", 8000, machine="one"))
    again = info("a", 9000, machine="two")

    with pytest.raises(HostClash, match="a:8000, is called a as well"):
        store.hosts.announce(again)
    store.hosts.announce(info("a", 9500, machine="one"))  # another agent of the same machine

    store.hosts.withdraw(info("a", 8000))
    store.hosts.withdraw(info("a", 9500))
    store.hosts.announce(again)
    assert len(json.loads(fetch("/targets/tiny-llm-profiler")[1])) == 1


def test_host_that_said_goodbye_is_not_listed(store: LabStore, fetch: Fetch) -> None:
    """Stopped on purpose is not down; one that merely went silent stays listed, to be seen down."""
    store.hosts.announce(info("a", 8000))
    store.hosts.announce(info("b", 8000))
    store.hosts.withdraw(info("a", 8000))

    (left,) = json.loads(fetch("/targets/tiny-llm-profiler")[1])
    assert left["labels"]["host"] == "b"


def test_no_list_is_better_than_an_empty_one(settings: Settings, liveness: Liveness) -> None:
    """Service discovery answers with an error while Redis is away: Prometheus then keeps the hosts
    it has."""

    class Gone:
        def all(self) -> Any:
            from edgeprof.shared.errors import StoreUnavailable

            raise StoreUnavailable("Redis cannot be reached")

    class Store:
        hosts = Gone()

    page = pages(Store(), settings, liveness)["/targets/tiny-llm-profiler"]  # type: ignore[arg-type]
    assert not isinstance(page, Post)
    assert page(b"")[0].startswith("503")


def test_health_follows_the_custodian(fetch: Fetch, liveness: Liveness) -> None:
    """200 while it ticks without trouble, 503 with the trouble in words."""
    assert fetch("/health")[0] == 200
    liveness.beat("Redis is full")

    status, text = fetch("/health")
    assert status == 503
    assert json.loads(text)["trouble"] == "Redis is full"


def test_alerts_are_logged(fetch: Fetch, caplog: pytest.LogCaptureFixture) -> None:
    """Each alert that Alertmanager posts is a log line: a warning when it fires, an info when
    resolved."""
    alerts = [
        {"status": state, "labels": {"alertname": "A"}, "annotations": {"summary": "S."}}
        for state in ("firing", "resolved")
    ]
    with caplog.at_level(logging.INFO, logger="profiler.alerts"):
        assert fetch("/alerts", json.dumps({"alerts": alerts}).encode())[0] == 200

    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert said == [("WARNING", "A firing: S."), ("INFO", "A resolved: S.")]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"alerts": 1}', b'{"alerts": [{"status": 1}]}']
)
def test_nonsense_is_refused(fetch: Fetch, body: bytes) -> None:
    """A post of nonsense is answered with 400."""
    assert fetch("/alerts", body)[0] == 400


def test_runbooks_are_served(fetch: Fetch) -> None:
    """Each section under its alert's name, and a list of all."""
    assert "/runbooks/DeviceDisconnected" in fetch("/runbooks")[1]
    assert fetch("/runbooks/DeviceDisconnected")[1].startswith("## DeviceDisconnected\n")
    assert fetch("/runbooks/Nonsense")[0] == 404


def test_taken_port_costs_another(caplog: pytest.LogCaptureFixture) -> None:
    """Two agents on one machine: the second serves on a free port, and says so."""
    first = Endpoint(CollectorRegistry(), "127.0.0.1", 0)
    second = Endpoint(CollectorRegistry(), "127.0.0.1", first.port)

    assert second.port not in {0, first.port}
    assert f"serving on port {second.port} instead" in caplog.text
    first.close()
    second.close()
