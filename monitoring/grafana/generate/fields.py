"""How a value looks: colours, units, thresholds, and the overrides of single columns or lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from monitoring.grafana.generate.queries import Json, query

#: Grafana has no unit for it.
TOKENS_PER_SECOND: Final = "suffix:tokens/s"

GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "text"
ORANGE, PURPLE = "orange", "purple"

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
ONE_COLOUR: Final[Steps] = ((None, GREEN),)


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
