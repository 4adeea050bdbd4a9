"""Stacked bars of where the time of a token goes, for jobs that were profiled.

One picture has a bar for each job, the other one a bar for each stretch of positions of one job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from edgeprof.client.humanize import SECONDS, unit_of
from edgeprof.client.prediction.stretches import stretches
from edgeprof.scheduler.report.drawing import COLOURS, RULE, Picture, Plot
from edgeprof.scheduler.report.measured import Measured
from edgeprof.shared.types.profile import Operator, Phase, Profile

#: More bars do not fit into one picture.
_MOST: Final = 8
#: A profile that costs more says so: it is no picture of the plain run.
_DEAR: Final = 0.05
#: Parts of a forward pass, in the order in which they are drawn. The last is what no operator has.
_REST: Final = "profiling itself"
PARTS: Final = {
    "weights of attention": (Operator.Q, Operator.K, Operator.V, Operator.ATTN_OUTPUT),
    "attention": (
        Operator.ROPE,
        Operator.CACHE_WRITE,
        Operator.SCORES,
        Operator.SOFTMAX,
        Operator.MIX,
    ),
    "feed-forward": (Operator.GATE, Operator.UP, Operator.SWIGLU, Operator.DOWN),
    "head": (Operator.HEAD, Operator.ARGMAX),
    "other": (Operator.EMBEDDING, Operator.NORM, Operator.QUANTIZE, Operator.RESIDUAL),
    _REST: (),
}
_COLOUR_OF: Final = {part: COLOURS[f"part{number}"] for number, part in enumerate(PARTS, 1)}


def seconds_a_token(profile: Profile, n_steps: int) -> dict[str, float]:
    """Return the time of each part of a decode step; together they are the whole step."""
    part_of = {operator: part for part, operators in PARTS.items() for operator in operators}
    ticks: Counter[str] = Counter({_REST: profile.unaccounted_ticks(Phase.DECODE)})
    for cell in profile.cells:
        if cell.phase is Phase.DECODE:
            ticks[part_of[cell.operator]] += cell.ticks
    return {part: ticks[part] / profile.tick_hz / n_steps for part in PARTS}


def _name(row: Measured, profile: Profile) -> str:
    """Name a bar, and say how much longer the profiled run took, where that is much."""
    cost = profile.cost_of_looking or 0.0
    return f"{row.type}\n" + (row.test if cost <= _DEAR else f"profiled +{cost:.0%}")


def where_time_goes(platform: str, rows: Sequence[Measured]) -> Plot | None:
    """Draw a bar for each profiled case, as long as its decode step takes."""
    bars = [
        (_name(row, profile), seconds_a_token(profile, row.case.n_gen - 1))
        for row in rows
        if (profile := row.case.profile) is not None and row.case.n_gen > 1
    ][:_MOST]
    if not bars:
        return None
    says = f"{platform}: where the time of a token goes, {len(bars)} bars"
    return Plot("Where the time goes", _bars(bars, "time of a decoded token", says))


def time_by_position(platform: str, rows: Sequence[Measured]) -> Plot | None:
    """Draw what a token takes the further the text has come, of the fastest profiled case."""
    for row in rows:
        if (profile := row.case.profile) is None:
            continue
        bars = [
            (
                f"{stretch.first}-{stretch.last}",
                {part: stretch.token_s(PARTS[part]) for part in PARTS if part != _REST},
            )
            for stretch in stretches(profile, row.case.n_prompt, row.case.n_gen)
        ]
        if len(bars) > 1:
            what = f"{row.type}, prompt of {row.case.n_prompt}"
            says = f"{platform}: where the time goes by position, {what}, {len(bars)} bars"
            label = f"{row.type}: time of a token"
            return Plot("Where the time goes, by position", _bars(bars, label, says))
    return None


def _bars(bars: Sequence[tuple[str, dict[str, float]]], label: str, says: str) -> Markup:
    unit = unit_of(SECONDS, [sum(parts.values()) for _, parts in bars])
    with Picture() as picture:
        axes = picture.axes
        for place, (_, parts) in enumerate(bars):
            left = 0.0
            for part, seconds in parts.items():
                named = part if place == 0 else None
                width = seconds / unit.size
                axes.barh(place, width, 0.6, left, color=_COLOUR_OF[part], label=named)
                left += width
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)  # the first, the fastest, on top
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", color=RULE, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"{label}, {unit.name.replace('us', 'µs')}")
        picture.legend()
        return picture.svg(says)
