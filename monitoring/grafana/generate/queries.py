"""Queries of panels, and PromQL that several of them use."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}


def query(expr: str, legend: str = "", *, instant: bool = False, exemplar: bool = False) -> Json:
    """Return a query of a panel. An instant one gives the rows of a table."""
    target: Json = {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend or "__auto"}
    if instant:
        return target | {"instant": True, "range": False, "format": "table"}
    return target | {"range": True, "exemplar": exemplar}


def counted(counter: str, window: str, by: str) -> str:
    """Return PromQL for a counter's increase in a window, as a whole number.

    increase() extrapolates, and makes 5.06 of five. It is used, and rounded, only where the counter
    was reset within the window.
    """
    recent = f"{counter}[{window}]"
    return (
        f"sum by ({by}) (max_over_time({recent}) - min_over_time({recent})"
        f" unless resets({recent}) > 0 or round(increase({recent})))"
    )


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Return PromQL for a quantile of the last five minutes.

    Jobs take minutes, so a shorter window would have gaps. The comparison removes NaN, the quantile
    of no observations.
    """
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (increase({histogram}[5m]))) >= 0"
