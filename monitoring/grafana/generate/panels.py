"""Panels: each function returns one, without its position on the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monitoring.grafana.generate.fields import (
    ONE_COLOUR,
    Steps,
    coloured,
    override,
    thresholds,
    value_mapping,
)
from monitoring.grafana.generate.queries import PROMETHEUS, Json, query


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = ONE_COLOUR,
    decimals: int | None = None,
) -> Json:
    """Return a panel with the current value of a query."""
    return _panel("stat", title, description, [query(expr)], unit, steps, decimals=decimals) | {
        "options": {
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "textMode": "auto",
            "wideLayout": True,
        }
    }


def timeseries(
    title: str,
    description: str,
    targets: Sequence[Json],
    *,
    unit: str = "short",
    steps: Steps = ONE_COLOUR,
    stacked: bool = False,
    minimum: float | None = 0,
    limit_line: bool = False,
    logarithmic: bool = False,
    scraped: str | None = None,
    decimals: int | None = None,
    colours: Mapping[str, str] | None = None,
    overrides: Sequence[Json] = (),
    wide: bool = False,
    no_value: str | None = None,
) -> Json:
    """Return a panel with lines over time; limit_line draws the thresholds.

    scraped: the interval of the scrapes, where it is longer than the datasource's: a rate needs two
    points. colours: last word of a legend -> colour. wide: the legend is a table at the right.
    no_value: the text when there is nothing to draw.
    """
    panel = _panel("timeseries", title, description, targets, unit, steps, decimals=decimals)
    defaults = panel["fieldConfig"]["defaults"]
    if no_value is not None:
        defaults["noValue"] = no_value
    panel["fieldConfig"]["overrides"] = [
        *(coloured(word, colour) for word, colour in (colours or {}).items()),
        *overrides,
    ]
    if minimum is not None and not logarithmic:
        defaults["min"] = minimum
    if scraped is not None:
        panel["interval"] = scraped
    defaults["color"] = {"mode": "palette-classic"}
    defaults["custom"] = {
        "drawStyle": "line",
        "lineInterpolation": "stepAfter" if stacked else "linear",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 0,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "line" if limit_line else "off"},
        "scaleDistribution": {"type": "log", "log": 10} if logarithmic else {"type": "linear"},
    }
    panel["options"] = {
        "legend": {
            "displayMode": "table" if wide else "list",
            "placement": "right" if wide else "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull"] if wide else [],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def bars(
    title: str,
    description: str,
    expr: str,
    legend: str,
    *,
    unit: str = "short",
    steps: Steps = ONE_COLOUR,
) -> Json:
    """Return a panel with a bar for the current value of each series."""
    target = query(expr, legend) | {"instant": True, "range": False}
    panel = _panel("bargauge", title, description, [target], unit, steps)
    panel["fieldConfig"]["defaults"]["min"] = 0
    return panel | {
        "options": {
            "displayMode": "gradient",
            "orientation": "horizontal",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "showUnfilled": True,
            "text": {"titleSize": 11, "valueSize": 15},
            "valueMode": "color",
            "namePlacement": "auto",
            "sizing": "auto",
            "minVizHeight": 16,
            "minVizWidth": 8,
            "maxVizHeight": 60,
            "legend": {
                "showLegend": False,
                "displayMode": "list",
                "placement": "bottom",
                "calcs": [],
            },
        }
    }


def states(
    title: str, description: str, targets: Sequence[Json], mapped: dict[str, tuple[str, str]]
) -> Json:
    """Return a panel with states over time. mapped: value -> (text, colour)."""
    panel = _panel("state-timeline", title, description, targets, "short", ONE_COLOUR)
    defaults = panel["fieldConfig"]["defaults"]
    defaults["mappings"] = [value_mapping(mapped)]
    defaults["custom"] = {"fillOpacity": 70, "lineWidth": 0, "spanNulls": False}
    panel["options"] = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel


def table(
    title: str,
    description: str,
    columns: dict[str, str],
    queries: Sequence[tuple[str, str, str]],
    *,
    overrides: Sequence[Json] = (),
    sort_by: str | None = None,
    numbers: Sequence[str] = (),
    no_value: str = "-",
) -> Json:
    """Return a table of instant queries, joined by their common labels.

    columns: label -> heading, in order. queries: (expression, heading, unit); each is a column
    after these. A query without a heading only adds rows and labels. numbers: labels that are
    numbers.
    no_value: the text of a cell without a value, and of a table without rows.
    """
    targets = [query(expr, instant=True) for expr, _, _ in queries]
    panel = _panel("table", title, description, targets, "short", ONE_COLOUR)
    panel["fieldConfig"]["defaults"] |= {"custom": {"minWidth": 70}, "noValue": no_value}
    several = len(queries) > 1
    values = {
        f"Value #{chr(ord('A') + i)}" if several else "Value": heading
        for i, (_, heading, _) in enumerate(queries)
        if heading
    }
    names = columns | values
    panel["transformations"] = [{"id": "merge", "options": {}}] if several else []
    if numbers:
        conversions = [{"targetField": label, "destinationType": "number"} for label in numbers]
        panel["transformations"].append(
            {"id": "convertFieldType", "options": {"conversions": conversions, "fields": {}}}
        )
    panel["transformations"] += [
        {"id": "filterFieldsByName", "options": {"include": {"names": list(names)}}},
        {
            "id": "organize",
            "options": {
                "indexByName": {name: index for index, name in enumerate(names)},
                "renameByName": names,
                "excludeByName": {},
                "includeByName": {},
            },
        },
    ]
    panel["fieldConfig"]["overrides"] = [
        *(override(heading, unit=unit) for _, heading, unit in queries if heading),
        *overrides,
    ]
    panel["options"] = {"showHeader": True, "cellHeight": "sm"}
    if sort_by is not None:
        panel["options"]["sortBy"] = [{"displayName": sort_by, "desc": True}]
    return panel


def text(title: str, markdown: str) -> Json:
    """Return a panel with text."""
    return {
        "type": "text",
        "title": title,
        "description": "",
        "options": {"mode": "markdown", "content": markdown},
    }


def _panel(
    kind: str,
    title: str,
    description: str,
    targets: Sequence[Json],
    unit: str,
    steps: Steps,
    *,
    decimals: int | None = None,
) -> Json:
    defaults: Json = {
        "unit": unit,
        "color": {"mode": "thresholds"},
        "thresholds": thresholds(steps),
        "mappings": [],
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": PROMETHEUS,
        "targets": [
            target | {"refId": chr(ord("A") + index)} for index, target in enumerate(targets)
        ],
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
