"""Alertmanager with the shipped configuration: what is told, and what goes without saying."""

from __future__ import annotations

import json
import logging
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from edgeprof.scheduler.http_pages import Liveness, pages
from edgeprof.shared.settings import Settings
from edgeprof.shared.telemetry.endpoint import Endpoint
from edgeprof.shared.telemetry.http_gate import Gate
from monitoring.lab import config
from monitoring.lab.config import ROOT
from monitoring.lab.lab import Ports, answers

pytestmark = pytest.mark.e2e


SHIPPED = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml"
TOKEN = "t0ken-of-this-lab"


@contextmanager
def alertmanager(
    configuration: Path, folder: Path, wait_until: Callable[..., None], **output: Any
) -> Iterator[str]:
    """Run one; gives its URL."""
    url = f"http://127.0.0.1:{Ports.free().alertmanager}"
    process = subprocess.Popen(
        [
            "prometheus-alertmanager",
            f"--config.file={configuration}",
            f"--storage.path={folder}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ],
        **({"stderr": subprocess.DEVNULL} | output),
    )
    try:
        wait_until(lambda: answers(f"{url}/-/ready"), "Alertmanager is ready")
        yield url
    finally:
        process.terminate()
        process.wait()


def post_alerts(url: str, *alerts: dict[str, str]) -> None:
    body = json.dumps([{"labels": labels} for labels in alerts]).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/api/v2/alerts", body, headers)).close()


@pytest.fixture
def silenced(
    tmp_path: Path, wait_until: Callable[..., None]
) -> Iterator[Callable[..., list[bool]]]:
    """`silenced({labels}, …)` posts alerts, and returns for each whether another one silences
    it."""

    def known() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{url}/api/v2/alerts") as reply:
            alerts: list[dict[str, Any]] = json.load(reply)
        return alerts

    def post(*alerts: dict[str, str]) -> list[bool]:
        post_alerts(url, *alerts)
        wait_until(
            lambda: (
                [a["status"]["state"] != "unprocessed" for a in known()] == [True] * len(alerts)
            ),
            "all alerts are processed",
        )
        inhibited = {frozenset(a["labels"].items()) for a in known() if a["status"]["inhibitedBy"]}
        return [frozenset(labels.items()) in inhibited for labels in alerts]

    with alertmanager(SHIPPED, tmp_path, wait_until) as url:
        yield post


@pytest.fixture
def told(tmp_path: Path, wait_until: Callable[..., None]) -> Iterator[Callable[..., Path]]:
    """`told(token)`: the shipped configuration tells a scheduler that is open to others of an
    alert, with this token in Alertmanager's file; returns the file with what Alertmanager says."""
    settings = Settings(host="testhost", metrics_bind="0.0.0.0", alerts_token=TOKEN)
    nobody_asks_for_hosts: Any = None
    page = pages(nobody_asks_for_hosts, settings, Liveness(3600))
    endpoint = Endpoint(CollectorRegistry(), "0.0.0.0", 0, page, Gate.of(settings))

    def tell(token: str) -> Path:
        (tmp_path / "token").write_text(f"{token}\n")
        addresses = {
            "scheduler:8001": f"127.0.0.1:{endpoint.port}",
            config.TOKEN_FILE: str(tmp_path / "token"),
        }
        (tmp_path / "alertmanager.yml").write_text(config.alertmanager(addresses))
        said = tmp_path / "said.txt"
        output = stack.enter_context(said.open("wb"))
        running = alertmanager(
            tmp_path / "alertmanager.yml", tmp_path, wait_until, stderr=output, stdout=output
        )
        post_alerts(stack.enter_context(running), alert("TlepHostDown", "critical", host="a"))
        return said

    with ExitStack() as stack:
        stack.callback(endpoint.close)
        yield tell


def test_the_shipped_configuration_is_one() -> None:
    """Alertmanager's own tool finds nothing wrong with it."""
    done = subprocess.run(
        ["amtool", "check-config", SHIPPED], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_alerts_arrive_with_the_token(
    told: Callable[..., Path], caplog: pytest.LogCaptureFixture, wait_until: Callable[..., None]
) -> None:
    """The shipped configuration sends what the scheduler asks for."""
    with caplog.at_level(logging.INFO, logger="profiler.alerts"):
        told(TOKEN)
        wait_until(lambda: "TlepHostDown firing" in caplog.text, "the alert is logged")


def test_alerts_with_another_token_do_not(
    told: Callable[..., Path], caplog: pytest.LogCaptureFixture, wait_until: Callable[..., None]
) -> None:
    """Alertmanager says why, and neither token."""
    with caplog.at_level(logging.INFO, logger="profiler.alerts"):
        said = told("another-token")
        wait_until(lambda: "401" in said.read_text(), "Alertmanager says that it was refused")
    assert "TlepHostDown" not in caplog.text
    assert "another-token" not in said.read_text()
    assert TOKEN not in said.read_text()


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


def test_host_that_is_down_silences_its_boards(silenced: Callable[..., list[bool]]) -> None:
    """A host that is down silences the alerts of its boards, and of no other host's."""
    told = silenced(
        alert("TlepHostDown", "critical", host="a"),
        alert("DeviceDisconnected", "critical", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="2"),
        alert("DeviceDisconnected", "critical", host="b", device_id="3"),
    )

    assert told == [False, True, True, False]


def test_board_that_is_gone_is_told_once(silenced: Callable[..., list[bool]]) -> None:
    """A board that is gone is no second alert for being offline; another offline board is an
    alert."""
    told = silenced(
        alert("DeviceDisconnected", "critical", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="2"),
    )

    assert told == [False, True, False]


def test_without_redis_the_rest_follows(silenced: Callable[..., list[bool]]) -> None:
    """An outage of Redis silences the alerts that follow from it, and not that of a hot board."""
    told = silenced(
        alert("TlepRedisDown", "critical"),
        alert("TlepCustodianSilent", "critical"),
        alert("TlepNoWorkerForQueue", "warning", queue="platform.native"),
        alert("DeviceOverheating", "critical", host="a", device_id="1"),
    )

    assert told == [False, True, True, False]
