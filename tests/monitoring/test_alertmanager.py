"""Alertmanager with the shipped configuration: what is told, and what goes without saying."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from monitoring.lab.config import ROOT
from monitoring.lab.lab import Ports, answers

pytestmark = pytest.mark.e2e


@pytest.fixture
def silenced(
    tmp_path: Path, wait_until: Callable[..., None]
) -> Iterator[Callable[..., list[bool]]]:
    """`silenced({labels}, …)` posts alerts, and returns for each whether another one silences it."""
    url = f"http://127.0.0.1:{Ports.free().alertmanager}"
    process = subprocess.Popen(
        [
            "prometheus-alertmanager",
            f"--config.file={ROOT / 'monitoring' / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={tmp_path}",
            f"--web.listen-address={url.removeprefix('http://')}",
            "--cluster.listen-address=",
        ],
        stderr=subprocess.DEVNULL,
    )

    def known() -> list[dict[str, Any]]:
        with urllib.request.urlopen(f"{url}/api/v2/alerts") as reply:
            alerts: list[dict[str, Any]] = json.load(reply)
        return alerts

    def post(*alerts: dict[str, str]) -> list[bool]:
        body = json.dumps([{"labels": labels} for labels in alerts]).encode()
        headers = {"Content-Type": "application/json"}
        urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/v2/alerts", body, headers)
        ).close()
        wait_until(
            lambda: (
                [a["status"]["state"] != "unprocessed" for a in known()] == [True] * len(alerts)
            ),
            "all alerts are processed",
        )
        inhibited = {frozenset(a["labels"].items()) for a in known() if a["status"]["inhibitedBy"]}
        return [frozenset(labels.items()) in inhibited for labels in alerts]

    try:
        wait_until(lambda: answers(f"{url}/-/ready"), "Alertmanager is ready")
        yield post
    finally:
        process.terminate()
        process.wait()


def alert(name: str, severity: str, **labels: str) -> dict[str, str]:
    return {"alertname": name, "severity": severity, **labels}


def test_host_that_is_down_silences_its_boards(silenced: Callable[..., list[bool]]) -> None:
    """And no other host's."""
    told = silenced(
        alert("TlepHostDown", "critical", host="a"),
        alert("DeviceDisconnected", "critical", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="2"),
        alert("DeviceDisconnected", "critical", host="b", device_id="3"),
    )

    assert told == [False, True, True, False]


def test_board_that_is_gone_is_told_once(silenced: Callable[..., list[bool]]) -> None:
    """That it is offline, too, goes without saying; that another one is does not."""
    told = silenced(
        alert("DeviceDisconnected", "critical", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="1"),
        alert("TlepBoardOffline", "warning", host="a", device_id="2"),
    )

    assert told == [False, True, False]


def test_without_redis_the_rest_follows(silenced: Callable[..., list[bool]]) -> None:
    """What cannot be known or done without Redis is silent; a hot board is not."""
    told = silenced(
        alert("TlepRedisDown", "critical"),
        alert("TlepCustodianSilent", "critical"),
        alert("TlepNoWorkerForQueue", "warning", queue="platform.native"),
        alert("DeviceOverheating", "critical", host="a", device_id="1"),
    )

    assert told == [False, True, True, False]
