"""The looks of values: colours, units, thresholds, and overrides of single columns or lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitoring.grafana.generate.queries import Json, query

#: Grafana has no unit for tokens per second.
TOKENS_PER_SECOND: Final = "suffix:tokens/s"

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
ORANGE, PURPLE = "orange", "purple"

#: A job's state has one colour on all dashboards; Grafana's own order would draw failures green.
JOB_COLOURS: Final = {
    "succeeded": GREEN,
    "failed": RED,
    "running": BLUE,
    "queued": PURPLE,
    "expired": ORANGE,
    "cancelled": "#8e8e8e",
}
#: Classes of faults. None is good news, so none is green.
FAULT_COLOURS: Final = {
    "board": RED,
    "link": ORANGE,
    "model": YELLOW,
    "host": PURPLE,
    "job": BLUE,
}
#: Quantiles: a typical and a long time.
QUANTILE_COLOURS: Final = {"p50": BLUE, "p95": ORANGE}

#: Thresholds: from a value on, a colour.
Steps = Sequence[tuple[float | None, str]]
ONE_COLOUR: Final[Steps] = ((None, GREEN),)


def limit(expr: str, legend: str) -> tuple[Json, Json]:
    """Return the query of a limit, and the override that draws its lines dashed.

    The first word of the legend must begin no other line's legend in the panel.
    """
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


def coloured(word: str, colour: str) -> Json:
    return {
        "matcher": {"id": "byRegexp", "options": f"/(^| ){word}$/"},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
    }


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
    missing: the text of a cell without a value, in grey. no_value: the same, in the colour of the
    other cells.
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
        properties.append({"id": "thresholds", "value": thresholds(steps)})
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


def thresholds(steps: Steps) -> Json:
    return {
        "mode": "absolute",
        "steps": [{"value": value, "color": colour} for value, colour in steps],
    }
