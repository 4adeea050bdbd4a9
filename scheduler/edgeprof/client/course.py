"""How one measure went over time: a course for each thing that was measured again and again."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from edgeprof.client.change_points import change_points
from edgeprof.client.comparable import Key, identity_of, key_of, values_of
from edgeprof.client.measures import Measure, Nature, counts_instructions
from edgeprof.shared.types.result import JobView


@dataclass(frozen=True, slots=True)
class Point:
    """One job."""

    job_id: str
    at_s: float
    value: float
    firmware: str


@dataclass(frozen=True, slots=True)
class Turn:
    """A change for good, between two jobs; the values are means up to the next turns."""

    index: int
    before: float
    after: float

    @property
    def share(self) -> float:
        """How much more it is since then."""
        return self.after / self.before - 1


@dataclass(frozen=True, slots=True)
class Course:
    """Points of one key on one board, oldest first, with where they changed for good."""

    key: Key
    board: str
    points: tuple[Point, ...]
    turns: tuple[Turn, ...]


def courses(views: Iterable[JobView], measure: Measure) -> list[Course]:
    """Return the courses of a measure, the longest first."""
    found: defaultdict[tuple[Key, str], list[tuple[JobView, Point]]] = defaultdict(list)
    for view in sorted(views, key=lambda view: view.finished_s or view.created_s):
        for index, _ in enumerate(view.result.cases if view.result else ()):
            if values := values_of(view, index, measure):
                identity = identity_of(view)
                at_s = view.finished_s or view.created_s
                value = statistics.fmean(values)
                point = Point(view.id, at_s, value, identity.firmware_git_hash)
                found[key_of(view, index), identity.device_id].append((view, point))
    made = [_course(key, board, pairs, measure) for (key, board), pairs in found.items()]
    return sorted(made, key=lambda course: -len(course.points))


def _course(key: Key, board: str, pairs: list[tuple[JobView, Point]], measure: Measure) -> Course:
    exact = measure.nature is Nature.EXACT or (
        measure.nature is Nature.TIMED
        and all(counts_instructions(identity_of(view)) for view, _ in pairs)
    )
    points = tuple(point for _, point in pairs)
    values = [point.value for point in points]
    cuts = change_points(values, exact=exact)
    spans = pairwise([0, *cuts, len(values)])
    means = [statistics.fmean(values[first:last]) for first, last in spans]
    turns = tuple(map(Turn, cuts, means[:-1], means[1:]))
    return Course(key, board, points, turns)
