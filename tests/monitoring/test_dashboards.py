"""Dashboards as files: made by the generator, and complete."""

from __future__ import annotations

import re
from typing import Any

import pytest

from monitoring.grafana.generate.__main__ import DASHBOARDS, FOLDER, run

PANELS = [
    pytest.param(panel, id=f"{dashboard['uid']}-{panel['title'] or panel['id']}")
    for dashboard in DASHBOARDS
    for panel in dashboard["panels"]
    if panel["type"] != "row"
]
#: The panel types of Grafana 13 that we use; none of them is deprecated.
TYPES = {"stat", "timeseries", "bargauge", "table", "state-timeline", "text", "logs", "traces"}


def test_committed_files_are_what_the_generator_makes() -> None:
    """Regenerate and compare; no file is left over."""
    assert run(check=True) == 0
    assert {path.stem for path in FOLDER.glob("*.json")} == {d["uid"] for d in DASHBOARDS}


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d["uid"])
def test_dashboard_is_ready_for_provisioning(dashboard: dict[str, Any]) -> None:
    """A stable uid, a title at the top level, the datasource as a variable, links to the others."""
    assert dashboard["uid"].startswith("tlep-")
    assert dashboard["title"]
    assert dashboard["editable"] is False
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    assert dashboard["links"][0]["tags"] == ["tlep"]


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d["uid"])
def test_panels_do_not_overlap(dashboard: dict[str, Any]) -> None:
    """Each cell of the grid belongs to one panel; ids are unique."""
    cells = set()
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert x < 24
                assert (x, y) not in cells
                cells.add((x, y))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("panel", PANELS)
def test_panel_explains_itself(panel: dict[str, Any]) -> None:
    """A current type, a title, a description, a datasource, a unit, a refId for each query."""
    assert panel["type"] in TYPES
    assert panel["title"]
    if panel["type"] == "text":
        return
    assert panel["description"]
    assert panel["datasource"]["uid"]
    assert [t["refId"] for t in panel["targets"]] == list("ABCDEF"[: len(panel["targets"])])
    if panel["type"] not in {"logs", "traces"}:
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", PANELS)
def test_queries_follow_the_house_rules(panel: dict[str, Any]) -> None:
    """Prometheus by variable; counters under rate() or increase(); rates over $__rate_interval."""
    for target in panel.get("targets", ()):
        expression = target.get("expr", "")
        for counter in re.finditer(r"\w+_total\b", expression):
            before = expression[: counter.start()]
            assert re.search(r"(rate|increase)\($", before), f"{counter[0]} without rate()"
        assert re.findall(r"rate\([^[]*\[(?!\$__rate_interval\])", expression) == []
        if expression:
            assert target["datasource"]["uid"] == "${datasource}"


def test_the_customers_panels_are_there() -> None:
    """Titles, and the 85 degrees, of monitoring-and-observability.md."""
    by_title = {panel["title"]: panel for d in DASHBOARDS for panel in d["panels"]}

    assert {
        "Active Profiling Sessions",
        "Model Performance by Platform",
        "Device Connection Status",
        "Device Temperature",
    } <= by_title.keys()
    steps = by_title["Device Temperature"]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    assert steps[-1]["value"] == 85
