"""Rules and Alertmanager's configuration, by the tools that come with them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.lab.config import ROOT

PROMETHEUS = ROOT / "monitoring" / "prometheus"
RULES = [
    rule
    for path in sorted(PROMETHEUS.glob("alerts/*.yml"))
    for group in yaml.safe_load(path.read_text())["groups"]
    for rule in group["rules"]
]
NAMES = [rule["alert"] for rule in RULES]
TESTS = sorted(PROMETHEUS.glob("tests/*.yml"))

#: monitoring-and-observability.md: name, duration, severity.
CUSTOMERS = {
    "DeviceDisconnected": ("30s", "critical"),
    "DeviceOverheating": ("60s", "critical"),
    "ProfilingSessionFailed": ("0s", "critical"),
    "LowThroughput": ("2m", "warning"),
    "HighMemoryUsage": ("1m", "warning"),
}


def run(*command: object) -> None:
    parts = [str(part) for part in command]
    done = subprocess.run(parts, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_accepts_its_configuration() -> None:
    """promtool check config, rules included."""
    run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")


def test_alertmanager_accepts_its_configuration() -> None:
    """`amtool check-config` accepts the configuration of Alertmanager."""
    run("amtool", "check-config", ROOT / "monitoring" / "alertmanager" / "alertmanager.yml")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_rules_do_what_they_say(path: Path) -> None:
    """`promtool test rules` passes for each file of tests."""
    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("name", NAMES)
def test_every_alert_is_tested_firing_and_not(name: str) -> None:
    """Each alert fires in one promtool test, and does not in another."""
    found = []
    for path in TESTS:
        for test in yaml.safe_load(path.read_text())["tests"]:
            found += [
                bool(case["exp_samples"])
                for case in test["promql_expr_test"]
                if f'alertname="{name}"' in case["expr"]
            ]

    assert set(found) == {True, False}


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_says_what_to_do(rule: dict[str, Any]) -> None:
    """Severity, a summary of one sentence, a description, a runbook with four parts, a
    dashboard."""
    name, notes = rule["alert"], rule["annotations"]
    runbooks = (ROOT / "monitoring" / "runbooks" / "README.md").read_text()
    dashboards = {p.stem for p in (ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json")}

    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert notes["summary"].endswith(".")
    assert notes["description"]
    assert notes["runbook_url"].endswith(f"/runbooks/{name}")
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", runbooks, re.DOTALL | re.MULTILINE)
    assert section is not None
    for part in ("Meaning", "Impact", "Diagnosis", "Fix"):
        assert f"**{part}.**" in section[1]
    dashboard = re.search(r"/d/([a-z-]+)", notes["dashboard_url"])
    assert dashboard is not None
    assert dashboard[1] in dashboards


@pytest.mark.parametrize("name", CUSTOMERS)
def test_alerts_of_the_customer_keep_their_terms(name: str) -> None:
    """Name, duration and severity of the customer's document."""
    (rule,) = [rule for rule in RULES if rule["alert"] == name]

    assert (rule["for"], rule["labels"]["severity"]) == CUSTOMERS[name]


@pytest.mark.parametrize("grafana", ["http://grafana.example", None])
def test_alerts_link_to_a_dashboard_only_where_there_is_grafana(
    tmp_path: Path, grafana: str | None
) -> None:
    """An alert has no link to a dashboard, rather than a dead one, without grafana_url in the
    external labels."""
    labels = {"scheduler_url": "http://s"} | ({"grafana_url": grafana} if grafana else {})
    (rule,) = [rule for rule in RULES if rule["alert"] == "TlepHostCordoned"]
    notes = {
        key: text.replace("{{ $labels.host }}", "h") for key, text in rule["annotations"].items()
    }
    notes["runbook_url"] = "http://s/runbooks/TlepHostCordoned"
    notes["dashboard_url"] = f"{grafana}/d/tlep-main?var-host=h" if grafana else ""
    fired = {"exp_labels": rule["labels"] | {"host": "h"}, "exp_annotations": notes}
    case = {
        "interval": "15s",
        "external_labels": labels,
        "input_series": [{"series": 'edgeprof_host_cordoned{host="h"}', "values": "1+0x20"}],
        "alert_rule_test": [
            {"eval_time": "2m", "alertname": "TlepHostCordoned", "exp_alerts": [fired]}
        ],
    }
    path = tmp_path / "test.yml"
    path.write_text(
        yaml.safe_dump({"rule_files": [str(PROMETHEUS / "alerts/lab.yml")], "tests": [case]})
    )

    run("promtool", "test", "rules", path)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_link_to_a_dashboard_asks_for_grafana(rule: dict[str, Any]) -> None:
    """Each alert's link to a dashboard depends on grafana_url."""
    link = rule["annotations"]["dashboard_url"]

    assert link.startswith("{{ with $externalLabels.grafana_url }}{{ . }}/d/")
    assert link.endswith("{{ end }}")


def test_new_alerts_have_the_prefix() -> None:
    """An alert that the customer did not name starts with Tlep."""
    assert [n for n in NAMES if n not in CUSTOMERS and not n.startswith("Tlep")] == []


def test_there_is_no_runbook_without_an_alert() -> None:
    """A section nobody leads to would rot."""
    runbooks = (ROOT / "monitoring" / "runbooks" / "README.md").read_text()

    assert sorted(re.findall(r"^## (\w+)$", runbooks, re.MULTILINE)) == sorted(NAMES)


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [("severity=critical", "page"), ("severity=warning", "ticket"), ("severity=info", "log")],
)
def test_alerts_go_where_their_severity_says(labels: str, receiver: str) -> None:
    """An alert goes to the receiver of its severity, by amtool's walk through the routes."""
    path = ROOT / "monitoring" / "alertmanager" / "alertmanager.yml"
    run(
        "amtool",
        "config",
        "routes",
        "test",
        f"--config.file={path}",
        f"--verify.receivers={receiver}",
        labels,
    )
