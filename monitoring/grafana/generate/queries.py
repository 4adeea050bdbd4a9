"""Queries of panels, and PromQL that several of them use."""

from __future__ import annotations

from typing import Any, Final

Json = dict[str, Any]

PROMETHEUS: Final[Json] = {"type": "prometheus", "uid": "${datasource}"}


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
