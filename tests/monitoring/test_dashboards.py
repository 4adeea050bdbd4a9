"""Dashboards as files: made by the generator, and complete."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edgeprof.shared.errors import FaultClass
from edgeprof.shared.types.job import JobState
from monitoring.grafana.generate.__main__ import DASHBOARDS, FOLDER, run
from monitoring.grafana.generate.fields import FAULT_COLOURS, JOB_COLOURS
from monitoring.grafana.generate.queries import counted

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
    assert [t["refId"] for t in panel["targets"]] == list("ABCDEFG"[: len(panel["targets"])])
    if panel["type"] not in {"logs", "traces"}:
        assert panel["fieldConfig"]["defaults"]["unit"]


@pytest.mark.parametrize("panel", PANELS)
def test_queries_follow_the_house_rules(panel: dict[str, Any]) -> None:
    """Prometheus by variable; counters counted whole, or under rate(); rates over
    $__rate_interval."""
    for target in panel.get("targets", ()):
        expression = target.get("expr", "")
        for counter in re.finditer(r"(\w+_total\b(?:{[^}]*})?)(\[[^]]*\])?", expression):
            before = expression[: counter.start()]
            window = (counter[2] or "").strip("[]")
            exact = counted(counter[1], window, "").removeprefix("sum by () ")
            assert before.endswith("rate(") or exact in expression, f"{counter[0]} without rate()"
        assert re.findall(r"rate\([^[]*\[(?!\$__rate_interval\])", expression) == []
        if expression:
            assert target["datasource"]["uid"] == "${datasource}"


def test_the_customers_panels_are_there() -> None:
    """Titles of monitoring-and-observability.md; the limit of a board's temperature, as it is
    set."""
    by_title = {panel["title"]: panel for d in DASHBOARDS for panel in d["panels"]}

    assert {
        "Active Profiling Sessions",
        "Model Performance by Platform",
        "Device Connection Status",
        "Device Temperature",
    } <= by_title.keys()
    queries = [target["expr"] for target in by_title["Device Temperature"]["targets"]]
    assert any("tlep_temperature_limit_celsius" in query for query in queries)


def _colours(panel: dict[str, Any]) -> dict[str, str]:
    return {
        re.sub(r"^/\(\^\| \)|\$/$", "", rule["matcher"]["options"]): made["value"]["fixedColor"]
        for rule in panel["fieldConfig"]["overrides"]
        for made in rule["properties"]
        if made["id"] == "color"
    }


def test_every_state_and_class_has_its_colour() -> None:
    """Success is green, failure red; no two are alike, and no fault is green."""
    assert JOB_COLOURS.keys() == set(map(str, JobState))
    assert FAULT_COLOURS.keys() == set(map(str, FaultClass))
    assert (JOB_COLOURS["succeeded"], JOB_COLOURS["failed"]) == ("green", "red")
    for colours in (JOB_COLOURS, FAULT_COLOURS):
        assert len(set(colours.values())) == len(colours)
    assert "green" not in FAULT_COLOURS.values()


@pytest.mark.parametrize("panel", PANELS)
def test_states_are_drawn_in_their_colours(panel: dict[str, Any]) -> None:
    """Each panel whose lines are job states or fault classes has their colours."""
    legends = {target.get("legendFormat") for target in panel.get("targets", ())}
    if panel["type"] != "timeseries":
        return
    if "{{state}}" in legends:
        assert _colours(panel).items() >= JOB_COLOURS.items()
    if "{{reason}}" in legends:
        assert _colours(panel).items() >= FAULT_COLOURS.items()


@pytest.mark.parametrize("panel", PANELS)
def test_models_are_told_apart_by_type(panel: dict[str, Any]) -> None:
    """A panel of a model's last run tells its types apart, or the last run would win."""
    for target in panel.get("targets", ()):
        if re.search(r"\bmodel_\w+(?<!_bucket){", expression := target.get("expr", "")):
            assert re.search(r"\b(quantization|method)\b", expression) or "avg by" in expression


@pytest.mark.parametrize("panel", PANELS)
def test_speeds_have_a_unit(panel: dict[str, Any]) -> None:
    """Tokens per second say so, in cells as on axes."""
    if panel["type"] in {"timeseries", "bargauge", "stat"}:
        asked = " ".join(target.get("expr", "") for target in panel["targets"])
        shown = panel["fieldConfig"]["defaults"]["unit"]
        assert ("tokens_per_second" in asked) == (shown == "suffix:tokens/s")
