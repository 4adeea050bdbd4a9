"""A course as a plot of characters, with its changes in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import plotext

from edgeprof.client.course import Course
from edgeprof.client.humanize import when
from edgeprof.client.measures import Measure

_HEIGHT: Final = 16
_WIDEST: Final = 120
_MARKER: Final = "•"


def plot(course: Course, measure: Measure, width: int) -> str:
    """Return the plot of a course and its changes; without colours, so that it can be pasted."""
    points, key = course.points, course.key
    title = (
        f"{key.model} {key.made_as} on {course.board}: {measure.name}, {measure.unit or 'no unit'},"
        f" {key.n_prompt}+{key.n_gen} tokens, context {key.n_ctx}, {len(points)} jobs"
    )
    figure = plotext.figure
    figure.clear()
    figure.plot_size(min(width, _WIDEST), _HEIGHT)
    # By number, not by time: a night's twenty jobs would be one dot.
    numbers = list(range(1, len(points) + 1))
    figure.draw(figure.signal(numbers, [point.value for point in points], marker=_MARKER))
    for turn in course.turns:
        figure.line(turn.index + 0.5, orientation="vertical")
    ticks = sorted({1, len(points), *(turn.index + 1 for turn in course.turns)})
    figure.ruler("x").ticks(ticks, [_day(points[tick - 1].at_s) for tick in ticks])
    lines = [title, figure.build().string(colorless=True)]
    lines += [_told(course, measure, number) for number in range(len(course.turns))]
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines())


def _told(course: Course, measure: Measure, number: int) -> str:
    turn = course.turns[number]
    before, after = course.points[turn.index - 1], course.points[turn.index]
    better = (turn.after > turn.before) == measure.more_is_better
    firmware = (
        f"firmware {before.firmware} -> {after.firmware}"
        if before.firmware != after.firmware
        else f"same firmware {after.firmware}"
    )
    return (
        f"{when(after.at_s)}: {turn.before:.4g} -> {turn.after:.4g} {measure.unit}"
        f" ({turn.share:+.1%}, {'better' if better else 'worse'}), since job {after.job_id},"
        f" {firmware}"
    )


def _day(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%m-%d %H:%M")
