"""Stacked bars of where the time of a token goes, for jobs that were profiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from edgeprof.client.humanize import SECONDS, unit_of
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
    unit = unit_of(SECONDS, [sum(parts.values()) for _, parts in bars])
    with Picture() as picture:
        axes = picture.axes
        for place, (_, parts) in enumerate(bars):
            left = 0.0
            for number, (part, seconds) in enumerate(parts.items(), 1):
                label = part if place == 0 else None
                width = seconds / unit.size
                axes.barh(place, width, 0.6, left, color=COLOURS[f"part{number}"], label=label)
                left += width
        axes.set_yticks(range(len(bars)), [name for name, _ in bars])
        axes.set_ylim(len(bars) - 0.4, -0.6)  # the first, the fastest, on top
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", color=RULE, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(f"time of a decoded token, {unit.name.replace('us', 'µs')}")
        picture.legend()
        says = f"{platform}: where the time of a token goes, {len(bars)} bars"
        return Plot("Where the time goes", picture.svg(says))
