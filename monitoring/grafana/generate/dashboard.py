"""Makes a dashboard from rows of panels, with the variables and links that all dashboards share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from monitoring.grafana.generate.queries import PROMETHEUS, Json

SCHEMA_VERSION: Final = 42
_COLUMNS: Final = 24

#: A panel and its width in columns.
Cell = tuple[Json, int]
#: A heading ("" for none), a height, and panels side by side.
Row = tuple[str, int, Sequence[Cell]]


def variable(name: str, label: str, metric: str, of: str) -> Json:
    """Return a variable of all values of a label `of`; users may select several."""
    asked = f"label_values({metric}, {of})"
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": PROMETHEUS,
        "query": {"query": asked, "refId": f"variable-{name}"},
        "definition": asked,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
        "hide": 0,
    }


DATASOURCE: Final[Json] = {
    "type": "datasource",
    "name": "datasource",
    "label": "Prometheus",
    "query": "prometheus",
    "current": {"text": "Prometheus", "value": "prometheus"},
    "options": [],
    "refresh": 1,
    "includeAll": False,
    "multi": False,
    "hide": 0,
}
HOST: Final = variable("host", "Host", "edgeprof_board_state", "host")
PLATFORM: Final = variable("platform", "Platform", "edgeprof_boards", "platform")
DEVICE: Final = variable(
    "device", "Device", 'edgeprof_board_state{platform=~"$platform", host=~"$host"}', "device_id"
)
MODEL: Final = variable("model", "Model", "model_last_run_timestamp_seconds", "model_name")


def textbox(name: str, label: str) -> Json:
    """Return a variable that is a text field."""
    return {
        "type": "textbox",
        "name": name,
        "label": label,
        "query": "",
        "current": {"text": "", "value": ""},
        "options": [],
        "hide": 0,
    }


def choice(name: str, label: str, values: dict[str, str], default: str) -> Json:
    """Return a variable with a few fixed values: text -> value."""
    return {
        "type": "custom",
        "name": name,
        "label": label,
        "query": ", ".join(f"{text} : {value}" for text, value in values.items()),
        "current": {"text": default, "value": values[default]},
        "options": [
            {"text": text, "value": value, "selected": text == default}
            for text, value in values.items()
        ],
        "includeAll": False,
        "multi": False,
        "hide": 0,
    }


def dashboard(
    uid: str,
    title: str,
    description: str,
    variables: Sequence[Json],
    rows: Sequence[Row],
    *,
    since: str = "now-1h",
) -> Json:
    """Return a dashboard; the rows follow each other from top to bottom."""
    panels: list[Json] = []
    top = 0
    for heading, height, cells in rows:
        if heading:
            grid = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
            panels.append(
                {"type": "row", "title": heading, "collapsed": False, "gridPos": grid, "panels": []}
            )
            top += 1
        left = 0
        for panel, width in cells:
            panels.append({**panel, "gridPos": {"x": left, "y": top, "w": width, "h": height}})
            left += width
        assert left <= _COLUMNS, f"{uid}: {heading or 'a row'} is {left} columns wide"
        top += height
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["tlep"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "10s",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "templating": {"list": [DATASOURCE, *variables]},
        "annotations": {"list": [_alerts()]},
        "links": [_links()],
        "panels": [{"id": index + 1, **panel} for index, panel in enumerate(panels)],
    }


def _links() -> Json:
    return {
        "type": "dashboards",
        "title": "Lab",
        "tags": ["tlep"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "dashboard",
        "tooltip": "",
        "url": "",
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": PROMETHEUS,
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "expr": 'ALERTS{alertstate="firing"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{device_id}} {{platform}} {{host}}",
        "step": "30s",
    }
