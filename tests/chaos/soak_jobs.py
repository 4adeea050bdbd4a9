"""The jobs of the soak: what people send to a lab in two hours, and how each kind must end."""

from __future__ import annotations

import contextlib
import itertools
import queue
import random
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from edgeprof.client.job import Job
from edgeprof.shared.errors import JobNotFound
from edgeprof.shared.queue import doorbell
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.job_values import Doorbell, NewJob, new_job_id
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.job import JobSpec, JobState
from edgeprof.shared.types.result import JobView
from tests.support.jobs import make_spec

#: Every so many jobs somebody new comes along: what is kept for each user must not pile up.
JOBS_A_USER = 50


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job: how many of 100, and how it may end."""

    share: int
    ends: frozenset[JobState]
    attempts: range
    n_gen: int = 1
    fields: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, view: JobView) -> bool:
        """Whether a job of this kind may have ended so, after so many attempts."""
        return view.state in self.ends and len(view.attempts) in self.attempts


_SUCCEEDED = frozenset({JobState.SUCCEEDED})
#: A cancel that comes after the end changes nothing.
_CANCELLED = frozenset({JobState.CANCELLED, JobState.SUCCEEDED})

KINDS = {
    "plain": Kind(75, _SUCCEEDED, range(1, 2)),
    "for one board": Kind(12, _SUCCEEDED, range(1, 2)),
    "fails once": Kind(
        4, _SUCCEEDED, range(2, 3), fields={"tags": {"fault": "link", "faults": "1"}}
    ),
    "given up": Kind(
        2,
        frozenset({JobState.FAILED}),
        range(2, 3),
        fields={"tags": {"fault": "host", "faults": "9"}, "max_attempts": 2},
    ),
    "nobody takes it": Kind(
        1, frozenset({JobState.EXPIRED}), range(1), fields={"queue_timeout_s": 2}
    ),
    "cancelled in the queue": Kind(5, _CANCELLED, range(2)),
    # Long enough for a watcher to see it run, and for its worker to hear of the cancel.
    "cancelled as it runs": Kind(1, _CANCELLED, range(1, 2), n_gen=100),
}


class Crowd:
    """Users who submit, cancel and watch. Use as a context manager; its end waits for the
    watchers."""

    def __init__(self, settings: Settings, boards: Sequence[str], seed: int, watchers: int) -> None:
        self._settings, self._boards, self._dice = settings, boards, random.Random(seed)
        self._store = LabStore.open(settings)
        self._numbers = itertools.count()
        self._to_watch: queue.Queue[tuple[str, bool] | None] = queue.Queue(maxsize=watchers)
        self._threads = [threading.Thread(target=self._watch) for _ in range(watchers)]
        #: Events read, for each job watched.
        self.watched: list[int] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in self._threads:
            self._to_watch.put(None)
        for thread in self._threads:
            thread.join()
        self._store.close()

    def submit(self, count: int) -> dict[str, Kind]:
        """Submit some jobs of all kinds; returns each with its kind."""
        names = self._dice.choices(list(KINDS), [kind.share for kind in KINDS.values()], k=count)
        submitted = {}
        for name in names:
            job_id = self.send(self._spec(name))
            submitted[job_id] = KINDS[name]
            if name == "cancelled in the queue":
                self._store.jobs.cancel(job_id, "soak", "changed my mind")
            with contextlib.suppress(queue.Full):  # all watchers watch
                self._to_watch.put_nowait((job_id, name == "cancelled as it runs"))
        return submitted

    def send(self, spec: JobSpec) -> str:
        """Submit one job as a client does, the record and then the doorbell; returns its id."""
        job_id = new_job_id()
        (traceparent,) = tracing.submit_traceparents([(job_id, spec)])
        self._store.jobs.submit([NewJob(spec, traceparent, job_id)], "soak")
        message = Doorbell(job_id, spec.target.queue, traceparent, spec.label)
        self._store.doorbells.notify([message], step=doorbell.transport_priority(spec.priority))
        return job_id

    def _spec(self, name: str) -> JobSpec:
        kind, number = KINDS[name], next(self._numbers)
        # Boards that never come have names of their own: what is kept for each must not pile up
        # either.
        board = {
            "for one board": self._dice.choice(self._boards),
            "nobody takes it": f"gone-{number}",
        }
        return make_spec(
            kind.n_gen,
            board=board.get(name),
            priority=self._dice.choice((2, 5, 5, 5, 8)),
            user=f"user-{number // JOBS_A_USER}-{number % 3}",
            **kind.fields,
        )

    def _watch(self) -> None:
        """Follow one job after the other to its end, as `edgeprof watch` does."""
        store = LabStore.open(self._settings)
        while (next_one := self._to_watch.get()) is not None:
            job_id, cancel = next_one
            events = 0
            with contextlib.suppress(JobNotFound):  # it waited for us, and was pruned meanwhile
                for event in Job(job_id, store, self._settings.store_patience_s).events():
                    events += 1
                    if cancel and event.fields.get("state") == JobState.RUNNING:
                        store.jobs.cancel(job_id, "soak", "seen enough")
            self.watched.append(events)
        store.close()
