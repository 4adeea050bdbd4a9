"""The run of the soak: laps of jobs as fast as they go, and a look at the lab at rest after
each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgeprof.scheduler.archive import Archive, Query
from edgeprof.shared.types.job import JobState
from tests.chaos import fairness, ledger
from tests.chaos.big_lab import BigLab
from tests.chaos.soak_jobs import KINDS, Crowd, Kind
from tests.chaos.soak_meter import Meter, Sample
from tests.support.jobs import make_spec
from tests.support.waiting import free_port

#: Jobs submitted at once, and how many wait for a board before the users do.
BATCH, BACKLOG = 20, 200
#: An archived job stays in Redis for less than a lap, so most go while others run.
SETTINGS: Mapping[str, Any] = {"result_ttl_s": 5.0}
SAMPLE_S = 2.0
#: How long a lab that is left alone may take until nothing of its jobs is left.
REST_S = 30.0


@dataclass
class Soaked:
    """What was seen."""

    #: While jobs ran, and at rest after each lap.
    trace: list[Sample] = field(default_factory=list)
    rests: list[Sample] = field(default_factory=list)
    #: Entries in Redis by kind of key, at rest after each lap.
    entries: list[dict[str, int]] = field(default_factory=list)
    submitted: int = 0
    #: Jobs a second, while there were any.
    rate: float = 0.0
    lost: int = 0
    double: int = 0
    #: Jobs that ended otherwise than their kind does, or after more or fewer attempts.
    odd: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    events: int = 0
    watched: int = 0
    shares_busy: Counter[str] = field(default_factory=Counter)
    shares_idle: Counter[str] = field(default_factory=Counter)


def run(
    *,
    jobs: int,
    laps: int,
    hosts: int,
    boards: int,
    single: int,
    seed: int,
    settings: Mapping[str, Any] = SETTINGS,
    advance: Callable[[int], object] = lambda _jobs: None,
) -> Soaked:
    """Do `jobs` in `laps`, then `single` jobs one by one. `advance` hears how many have been
    submitted."""
    with (
        BigLab(
            hosts,
            boards,
            lease_s=5,
            port=free_port(),
            scheduler_port=free_port(),
            **settings,
        ) as lab,
        Archive.open(lab.settings("scheduler")) as archive,
    ):
        names = [name for group in lab.boards.values() for name in group]
        with Crowd(lab.settings("client"), names, seed, watchers=4) as crowd:
            soak = _Soak(lab, crowd, archive, names)
            lab.until(soak.meter.reachable, "all metrics are served")
            for lap in range(laps):
                soak.lap(jobs // laps + (lap < jobs % laps), advance)
            seen = soak.seen
            seen.shares_idle = fairness.one_by_one(lab, crowd.send, single, longest_pause_s=0.5)
            soak.meter.close()
        seen.watched, seen.events = len(crowd.watched), sum(crowd.watched)
    return seen


class _Soak:
    def __init__(self, lab: BigLab, crowd: Crowd, archive: Archive, boards: list[str]) -> None:
        self._lab, self._crowd, self._archive, self._boards = lab, crowd, archive, boards
        self.meter, self.seen = Meter(lab), Soaked()
        self._spent_s = 0.0
        self._began_s = time.monotonic()

    def lap(self, jobs: int, advance: Callable[[int], object]) -> None:
        """Do some jobs, wait until nothing is left of them, and look."""
        started_s, wall_s = time.monotonic(), time.time()
        sent: dict[str, Kind] = {}
        next_sample_s = started_s
        while len(sent) < jobs or self._unfinished():
            if time.monotonic() >= next_sample_s:
                next_sample_s = time.monotonic() + SAMPLE_S
                self.seen.trace.append(self._sample())
            if len(sent) < jobs and self._waiting() < BACKLOG:
                batch = self._crowd.submit(min(BATCH, jobs - len(sent)))
                sent |= batch
                self.seen.submitted += len(batch)
                advance(len(batch))
            else:
                time.sleep(0.05)
        # The last job of each board goes well, so that no count of faults in a row is left.
        last = {self._crowd.send(make_spec(board=board)): KINDS["plain"] for board in self._boards}
        self.seen.submitted += len(last)
        self._lab.until(lambda: not self._unfinished(), "all jobs have ended")
        self._spent_s += time.monotonic() - started_s
        self.seen.rate = self.seen.submitted / self._spent_s
        self.seen.entries.append(self._rest())
        self.seen.rests.append(self._sample())
        self._account(sent | last, wall_s)

    def _account(self, sent: Mapping[str, Kind], since_s: float) -> None:
        """Hold what the archive has of these jobs against what was asked for."""
        found = self._archive.find(Query(since_s=since_s - 1, limit=2 * len(sent) + 1000))
        views = [view for view in found if view.id in sent]
        seen = self.seen
        seen.lost += len(sent) - len(views)
        seen.double += ledger.overlaps(views)
        seen.states.update(str(view.state) for view in views)
        seen.shares_busy.update(fairness.shares(self._boards, views))
        seen.odd += [
            f"{view.id}: {view.state}, {len(view.attempts)} attempts: {view.reason}"
            for view in views
            if not sent[view.id].fits(view)
        ]

    def _rest(self) -> dict[str, int]:
        """Return what is in Redis once no job is and nothing changes any more, or when that took
        too long."""
        deadline_s = time.monotonic() + REST_S
        entries: dict[str, int] = {}
        while True:
            before, entries = entries, self.meter.entries()
            calm = entries == before and not any(":job:" in kind for kind in entries)
            if (calm and not self.meter.rewriting()) or time.monotonic() > deadline_s:
                return entries
            time.sleep(0.5)

    def _sample(self) -> Sample:
        return self.meter.sample(self.seen.submitted, time.monotonic() - self._began_s)

    def _waiting(self) -> int:
        return self._lab.store.jobs.counts()[JobState.QUEUED]

    def _unfinished(self) -> int:
        counts = self._lab.store.jobs.counts()
        return sum(n for state, n in counts.items() if not state.terminal)
