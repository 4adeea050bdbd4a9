"""What became of the jobs of a campaign, from their records alone: lost, double, attempts,
recoveries."""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgeprof.shared.store.jobs import JobStore
from edgeprof.shared.types.job import Attempt, JobState
from edgeprof.shared.types.result import JobView


@dataclass(frozen=True, slots=True)
class Ledger:
    """Figures of a campaign; the promise is lost == double == 0."""

    submitted: int
    finished: int
    lost: int
    double: int
    attempts: int
    fenced: int
    states: Mapping[str, int]
    faults: Mapping[str, int]
    #: Seconds from a fault to the next attempt of each job it hit.
    recoveries_s: Sequence[float]

    @property
    def kept(self) -> bool:
        """Whether nothing was lost and nothing done twice."""
        return self.lost == self.double == 0

    def figures(self) -> dict[str, Any]:
        """Return what a table or JSON shows."""
        figures: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("submitted", "finished", "lost", "double", "attempts", "fenced")
        }
        figures |= {"states": dict(self.states), "faults": dict(self.faults)}
        ordered = sorted(self.recoveries_s)
        figures["recoveries"] = len(ordered)
        if ordered:
            figures["recovery_median_s"] = round(statistics.median(ordered), 2)
            figures["recovery_p95_s"] = round(self.recovery_p95_s, 2)
            figures["recovery_max_s"] = round(ordered[-1], 2)
        return figures

    @property
    def recovery_p95_s(self) -> float:
        """95th percentile of the recoveries (nearest rank); 0 when there was none."""
        ordered = sorted(self.recoveries_s)
        return ordered[-(-95 * len(ordered) // 100) - 1] if ordered else 0.0


def read(jobs: JobStore, submitted: Sequence[str], blows: Mapping[str, Sequence[float]]) -> Ledger:
    """Read the records of submitted jobs. `blows`: board -> when it, or what drives it, was hit."""
    views = jobs.views(submitted)
    histories = {view.id: jobs.history(view.id) for view in views}
    ends = {
        job_id: sum(JobState(line.after).terminal and line.before != line.after for line in lines)
        for job_id, lines in histories.items()
    }
    attempts = [a for view in views for a in view.attempts]
    return Ledger(
        submitted=len(submitted),
        finished=sum(view.state.terminal for view in views),
        lost=len(submitted) - len(views) + sum(not view.state.terminal for view in views),
        double=sum(n > 1 for n in ends.values()) + overlaps(views),
        attempts=len(attempts),
        fenced=sum("refused" in line.reason for lines in histories.values() for line in lines),
        states=Counter(str(view.state) for view in views),
        faults=Counter(f"{a.fault_class}: {a.code}" for a in attempts if a.fault_class),
        recoveries_s=[s for view in views for s in _recoveries(view, blows)],
    )


def overlaps(views: Sequence[JobView]) -> int:
    """Return how often a board, or a job, had two attempts at the same time."""
    by_board = [a for view in views for a in view.attempts]
    by_board.sort(key=lambda a: (a.device_id, a.started_s))
    pairs = [(a, b) for a, b in itertools.pairwise(by_board) if a.device_id == b.device_id]
    pairs += [pair for view in views for pair in itertools.pairwise(view.attempts)]
    return sum(_overlap(*pair) for pair in pairs)


def _overlap(before: Attempt, after: Attempt) -> bool:
    return before.ended_s is None or after.started_s < before.ended_s


def _recoveries(view: JobView, blows: Mapping[str, Sequence[float]]) -> list[float]:
    found = []
    for hit, again in itertools.pairwise(view.attempts):
        in_time = [s for s in blows.get(hit.device_id, ()) if hit.started_s <= s <= again.started_s]
        if in_time:
            found.append(again.started_s - in_time[0])
    return found
