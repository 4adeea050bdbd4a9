"""The plots of a report: for each platform its speed against what it costs, and its latency.

Each platform has its own scales: an emulated 168 MHz chip and a process differ by a factor of a
thousand. Colour is the weight type everywhere. A plot of which nothing was measured is left out.
A new kind of plot is a function here, in KINDS.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.humanize import BYTES, SECONDS, unit_of
from edgeprof.scheduler.report.drawing import MUTED, PAPER, RULE, Picture, Plot, colour_of
from edgeprof.scheduler.report.measured import Measured
from edgeprof.scheduler.report.profile_plot import time_by_position, where_time_goes

#: More jobs of a platform than can be told apart in one picture: the first so many are drawn.
MOST_DRAWN: Final = 60
#: Platforms that get plots; the table has all.
MOST_PLATFORMS: Final = 12
_MARKERS: Final = "os^Dvphx"


@dataclass(frozen=True, slots=True)
class PlatformPlots:
    """The plots of one platform."""

    platform: str
    plots: list[Plot]
    #: How many measured cases were too many to be drawn.
    left_out: int


@dataclass(frozen=True, slots=True)
class _Cost:
    """What speed is drawn against."""

    title: str
    label: str
    of: Callable[[Measured], float | None]
    error: Callable[[Measured], float | None] = lambda _row: None
    #: Which rows compare in this respect.
    comparable: Callable[[Sequence[Measured]], Sequence[Measured]] = lambda rows: rows


def platform_plots(rows: Sequence[Measured]) -> list[PlatformPlots]:
    """Return the plots of each platform, in the order in which platforms appear."""
    found = []
    for platform in list(dict.fromkeys(row.platform for row in rows))[:MOST_PLATFORMS]:
        own = [row for row in rows if row.platform == platform]
        drawn = own[:MOST_DRAWN]
        plots = [plot for kind in KINDS if (plot := kind(platform, drawn)) is not None]
        found.append(PlatformPlots(platform, plots, len(own) - len(drawn)))
    return [each for each in found if each.plots]


def weight_types(rows: Iterable[Measured]) -> list[str]:
    """Return the weight types of some rows, for the legend."""
    return list(dict.fromkeys(row.view.model.quantization.value for row in rows))


def _speed_against(cost: _Cost) -> Callable[[str, Sequence[Measured]], Plot | None]:
    """Return a function that draws decode speed against a cost: up and to the left is better."""

    def draw(platform: str, rows: Sequence[Measured]) -> Plot | None:
        points = [
            (at, row.decode, row)
            for row in cost.comparable(rows)
            if row.decode is not None and (at := cost.of(row)) is not None
        ]
        if len(points) < 2:  # alone, a point tells no more than the table
            return None
        markers = _markers(rows)
        with Picture() as picture:
            axes = picture.axes
            for at, speed, row in points:
                colour = colour_of(row.view.model.quantization)
                axes.errorbar(
                    at, speed.mean, xerr=cost.error(row) or None, yerr=speed.sd or None,
                    fmt="none", ecolor=colour, elinewidth=0.7, alpha=0.6,
                )  # fmt: skip
                title = f"{_name(row)}: {speed.mean:.4g} t/s, {cost.title} {at:.4g}"
                axes.scatter(
                    [at], [speed.mean], s=26, marker=markers[row.model], zorder=3, linewidths=1.2,
                    facecolors=PAPER if row.identity.emulated else colour, edgecolors=colour,
                    urls=[picture.link(f"job-{row.view.id}", title)],
                )  # fmt: skip
                picture.label(at, speed.mean, _label(row, markers))
            top = max(speed.mean + speed.sd for _, speed, _ in points)
            axes.set_ylim(0, 1.18 * top)
            axes.margins(x=0.2)
            axes.locator_params(nbins=5)
            axes.grid(axis="y", color=RULE, linewidth=0.5)
            axes.set_axisbelow(True)
            axes.set_xlabel(cost.label)
            axes.set_ylabel("decode, tokens/s")
            says = f"{platform}: decode speed against {cost.title}, {len(points)} points"
            return Plot(f"Speed against {cost.title}", picture.svg(says))

    return draw


def _latency_by_position(platform: str, rows: Sequence[Measured]) -> Plot | None:
    """Draw how long a token takes, the further the text has come: flat and low is better."""
    lines = [row for row in rows if len(row.case.position_latency_s) > 1]
    if not lines:
        return None
    unit = unit_of(SECONDS, [s for row in lines for s in row.case.position_latency_s])
    dashes = dict(zip(_markers(rows), ("-", "--", ":", "-.") * len(rows), strict=False))
    with Picture() as picture:
        axes = picture.axes
        for row in lines:
            steps = [s / unit.size for s in row.case.position_latency_s]
            # The prefill ends with the first token; each step from there makes one more.
            positions = range(row.case.n_prompt + 1, row.case.n_prompt + 1 + len(steps))
            axes.plot(
                positions, steps, dashes[row.model], linewidth=1.1,
                color=colour_of(row.view.model.quantization),
            )  # fmt: skip
            picture.label(positions[-1], steps[-1], _label(row, dashes))
        last = max(row.case.n_prompt + len(row.case.position_latency_s) for row in lines)
        first = min(row.case.n_prompt for row in lines)
        axes.set_xlim(first, last + 0.2 * (last - first))  # room for labels
        axes.set_ylim(bottom=0, top=1.1 * axes.get_ylim()[1])
        axes.locator_params(nbins=5)
        axes.grid(axis="y", color=RULE, linewidth=0.5)
        axes.set_xlabel("position in the context, tokens")
        axes.set_ylabel(f"time of a token, {unit.name.replace('us', 'µs')}")
        axes.tick_params(colors=MUTED)
        says = f"{platform}: latency of a token by its position, {len(lines)} lines"
        return Plot("Latency by position", picture.svg(says))


def _markers(rows: Iterable[Measured]) -> dict[str, str]:
    """Return a marker for each model."""
    models = dict.fromkeys(row.model for row in rows)
    return {model: _MARKERS[i % len(_MARKERS)] for i, model in enumerate(models)}


def _of_one_text(rows: Sequence[Measured]) -> Sequence[Measured]:
    """Return the rows whose perplexity is of the text that most were scored over."""
    texts = Counter(row.scored_over for row in rows if row.scored_over is not None)
    most = texts.most_common(1)
    return [row for row in rows if most and row.scored_over == most[0][0]]


def _name(row: Measured) -> str:
    firmware = f", firmware {row.version}" if row.version else ""
    return f"{row.model} {row.type} on {row.identity.device_id}{firmware}"


def _label(row: Measured, models: dict[str, str]) -> str:
    named = row.type if len(models) == 1 else f"{row.model} {row.type}"
    return f"{named} {row.version}".rstrip()


_KIB: Final = BYTES["KiB"]

#: Each draws one plot of a platform, or returns None where nothing of it was measured.
KINDS: Final[Sequence[Callable[[str, Sequence[Measured]], Plot | None]]] = (
    _speed_against(
        _Cost(
            "perplexity",
            "perplexity (left is more accurate)",
            lambda row: row.perplexity,
            lambda row: row.perplexity_error,
            _of_one_text,
        )
    ),
    _speed_against(
        _Cost(
            "memory",
            "weights, KV cache and activations, KiB",
            lambda row: None if row.model_bytes is None else row.model_bytes / _KIB,
        )
    ),
    _speed_against(
        _Cost(
            "energy",
            "energy, mJ a token",
            lambda row: row.energy_mj,
            lambda row: row.energy_sd_mj,
        )
    ),
    _latency_by_position,
    where_time_goes,
    time_by_position,
)
