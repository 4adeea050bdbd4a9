"""Writes a page from a template. Templates escape what they are given."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from edgeprof.client.humanize import ago, counted, human_bytes, human_expected, human_s, when
from edgeprof.scheduler.report.how import how_measured
from edgeprof.scheduler.report.measured import measured_of
from edgeprof.scheduler.report.summary import summary_of
from edgeprof.scheduler.report.table import table_of
from edgeprof.shared.store.reservations import told
from edgeprof.shared.types.result import JobView

_TEMPLATES: Final = Path(__file__).with_name("templates")
#: The distribution that `pip install` knows.
_PACKAGE: Final = "tiny-llm-edge-profiler"


def report(
    views: Sequence[JobView], *, title: str, selection: str, without_result: int, now_s: float
) -> str:
    """Return a report of these jobs as one HTML file that needs no network.

    selection: how the jobs were chosen. without_result: how many more were chosen that have none.
    """
    return render(
        "report.html",
        title=title,
        selection=selection,
        made=when(now_s),
        finished=[view.finished_s for view in views if view.finished_s is not None],
        people=sorted({view.user for view in views if view.user}),
        without_result=without_result,
        **measurements(views),
    )


def measurements(views: Sequence[JobView]) -> dict[str, Any]:
    """Return what measurements.html shows of jobs: summary, plots, table, how it was measured."""
    rows = measured_of(views)
    plots: Any = []
    legend: list[str] = []
    if can_draw():
        # Imported here: matplotlib takes a second and 40 MB, and an install may lack it.
        from edgeprof.scheduler.report.plots import platform_plots, weight_types  # noqa: PLC0415

        plots, legend = platform_plots(rows), weight_types(rows)
    return {
        "rows": rows,
        "summary": summary_of(rows),
        "plots": plots,
        "can_draw": can_draw(),
        "legend": legend,
        "table": table_of(rows),
        "how": how_measured(rows),
    }


@cache
def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def render(template: str, **values: Any) -> str:
    """Return a page as HTML."""
    return _environment().get_template(template).render(values)


def content_security_policy() -> str:
    """Return what a page may do: run its one script, and load nothing from anywhere."""
    digest = base64.b64encode(hashlib.sha256(_text("sort.js").encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}';"
        " base-uri 'none'; form-action 'self'"
    )


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        when=when,
        duration=human_s,
        ago=ago,
        bytes=human_bytes,
        expected=human_expected,
        told=told,
    )
    made.globals.update(
        counted=counted,
        policy=content_security_policy(),
        style=Markup(_text("style.css")),  # noqa: S704 - our own file
        script=Markup(_text("sort.js")),  # noqa: S704 - our own file
        version=version(_PACKAGE),
    )
    return made


@cache
def _text(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")
