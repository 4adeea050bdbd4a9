"""Panels: each function returns one, without its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
ORANGE, PURPLE = "orange", "purple"

#: A tokens per second, which Grafana has no unit for.
TOKENS_PER_SECOND: Final = "suffix:tokens/s"

#: One colour for each state of a job, wherever it is drawn: Grafana's own order would draw failures green.
JOB_COLOURS: Final = {
    "succeeded": GREEN,
    "failed": RED,
    "running": BLUE,
    "queued": PURPLE,
    "expired": ORANGE,
    "cancelled": "#8e8e8e",
}
#: By whose fault an attempt failed; none of them is good news, so none is green.
FAULT_COLOURS: Final = {
    "board": RED,
    "link": ORANGE,
    "model": YELLOW,
    "host": PURPLE,
    "job": BLUE,
}
#: A typical and a long time.
QUANTILE_COLOURS: Final = {"p50": BLUE, "p95": ORANGE}

#: A step is a colour from a value on.
Steps = Sequence[tuple[float | None, str]]
_ONE_COLOUR: Final[Steps] = ((None, GREEN),)


def query(expr: str, legend: str = "", *, instant: bool = False, exemplar: bool = False) -> Json:
    """Return a target; instant ones are the rows of a table."""
    target: Json = {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend or "__auto"}
    if instant:
        return target | {"instant": True, "range": False, "format": "table"}
    return target | {"range": True, "exemplar": exemplar}


def counted(counter: str, window: str, by: str) -> str:
    """Return how many were counted within a window, a whole number: increase() makes 5.06 of five.

    Where a counter began anew within the window, it is what increase() says, rounded.
    """
    recent = f"{counter}[{window}]"
    return (
        f"sum by ({by}) (max_over_time({recent}) - min_over_time({recent})"
        f" unless resets({recent}) > 0 or round(increase({recent})))"
    )


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Return the quantile of the last five minutes: jobs take minutes, so a shorter rate has gaps. The
    comparison leaves out NaN, which is what nothing observed makes."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (increase({histogram}[5m]))) >= 0"


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    steps: Steps = _ONE_COLOUR,
    decimals: int | None = None,
) -> Json:
    """One number, as it is now."""
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
    steps: Steps = _ONE_COLOUR,
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
    """Lines over time; limit_line draws the thresholds.

    scraped: how often, where that is less often than the datasource says, so that a rate has two points to be
    made of. colours: last word of a legend -> colour. wide: the legend stands at the right, with numbers.
    no_value: what to say where there is nothing to draw.
    """
    panel = _panel("timeseries", title, description, targets, unit, steps, decimals=decimals)
    defaults = panel["fieldConfig"]["defaults"]
    if no_value is not None:
        defaults["noValue"] = no_value
    panel["fieldConfig"]["overrides"] = [
        *(_coloured(word, colour) for word, colour in (colours or {}).items()),
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


def limit(expr: str, legend: str) -> tuple[Json, Json]:
    """Return a query whose lines are a limit, and the override that draws them so. The legend's first word
    names the kind of limit, and no other line of the panel."""
    word = legend.split(maxsplit=1)[0]
    drawn = {
        "matcher": {"id": "byRegexp", "options": f"/^{word}\\b/"},
        "properties": [
            {"id": "color", "value": {"mode": "fixed", "fixedColor": RED}},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 6]}},
            {"id": "custom.lineWidth", "value": 2},
            {"id": "custom.showPoints", "value": "never"},
        ],
    }
    return query(expr, legend), drawn


def _coloured(word: str, colour: str) -> Json:
    return {
        "matcher": {"id": "byRegexp", "options": f"/(^| ){word}$/"},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


def bars(
    title: str,
    description: str,
    expr: str,
    legend: str,
    *,
    unit: str = "short",
    steps: Steps = _ONE_COLOUR,
) -> Json:
    """One bar for each series, as it is now."""
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
    """What state something was in, over time. mapped: value -> (text, colour)."""
    panel = _panel("state-timeline", title, description, targets, "short", _ONE_COLOUR)
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
    """Instant queries joined into one table by their common labels.

    columns: label -> heading, in order. queries: (expression, heading, unit); each is a column after these,
    but for those without a heading, which only bring rows and labels. numbers: labels that are numbers.
    no_value: what a cell without a value says, and the whole table without rows.
    """
    targets = [query(expr, instant=True) for expr, _, _ in queries]
    panel = _panel("table", title, description, targets, "short", _ONE_COLOUR)
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


def override(
    heading: str,
    *,
    unit: str | None = None,
    mapped: dict[str, tuple[str, str]] | None = None,
    steps: Steps | None = None,
    link: tuple[str, str] | None = None,
    width: int | None = None,
    decimals: int | None = None,
    missing: str | None = None,
    no_value: str | None = None,
) -> Json:
    """Return how one column of a table is shown.

    mapped: value -> (text, colour of the cell). link: (title, URL). width in pixels.
    missing: what a cell without a value says, in grey, whatever the colour of the others. no_value: the
    same, in the colour of the others.
    """
    properties: list[Json] = []
    if width is not None:
        properties.append({"id": "custom.width", "value": width})
    if unit is not None:
        properties.append({"id": "unit", "value": unit})
    if no_value is not None:
        properties.append({"id": "noValue", "value": no_value})
    if decimals is not None:
        properties.append({"id": "decimals", "value": decimals})
    mappings = [value_mapping(mapped)] if mapped is not None else []
    if missing is not None:
        result = {"text": missing, "color": "#464c54", "index": len(mapped or ())}
        mappings.append({"type": "special", "options": {"match": "null", "result": result}})
    if mappings:
        properties.append({"id": "mappings", "value": mappings})
    if steps is not None:
        properties.append({"id": "thresholds", "value": _thresholds(steps)})
    if mapped is not None or steps is not None:
        cell = {"type": "color-background", "mode": "basic"}
        properties.append({"id": "custom.cellOptions", "value": cell})
    if link is not None:
        properties.append({"id": "links", "value": [{"title": link[0], "url": link[1]}]})
    return {"matcher": {"id": "byName", "options": heading}, "properties": properties}


def value_mapping(mapped: dict[str, tuple[str, str]]) -> Json:
    """Return a mapping of values to texts and colours."""
    options = {
        value: {"index": index, "text": text, "color": colour}
        for index, (value, (text, colour)) in enumerate(mapped.items())
    }
    return {"type": "value", "options": options}


def text(title: str, markdown: str) -> Json:
    """Words."""
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
        "thresholds": _thresholds(steps),
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


def _thresholds(steps: Steps) -> Json:
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }
