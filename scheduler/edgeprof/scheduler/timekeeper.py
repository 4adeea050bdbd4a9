"""Begins the runs of schedules when it is time, and tells how each of them ended.

The custodian that leads looks about once a second. Correctness does not rest on the leader's lock:
what is done about a due time or a run is one script of the store, which does nothing where another
scheduler was faster.

A schedule never runs twice at once: when it is time, and the run before has not ended, the new one
is skipped. Times at which no scheduler looked are missed. If the last of them is at most LATE_S
ago, one run begins for all of them; otherwise none does: nobody wants the night's sweep at noon.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.cron import Cron
from edgeprof.client.lab import Lab
from edgeprof.client.scheduled_sweep import PREPARED_WITHIN_S, carry_out, new_run
from edgeprof.scheduler.metrics import CustodianMetrics
from edgeprof.shared.errors import EdgeprofError, NotFound, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.schedules import ScheduleStore
from edgeprof.shared.telemetry.context_fields import bound_fields
from edgeprof.shared.types.schedule import EndedRun, OpenRun, Outcome, Schedule

#: Among the lab's other events.
log = logging.getLogger("profiler.schedules")

#: A run may begin so late; a scheduler that is restarted or upgraded at two loses no night.
LATE_S: Final = 3600.0
#: A look this late is a slow tick, not an absence.
_PROMPT_S: Final = 60.0
#: Most missed times that are counted.
_MOST_MISSED: Final = 1000


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run of a schedule has ended, was skipped, or was missed: `run.outcome` says which."""

    schedule: Schedule
    run: EndedRun

    @property
    def text(self) -> str:
        """Return e.g. "missed 2026-11-25 02:00 CET and 2 before: no scheduler ran"."""
        run = self.run
        at = Cron(self.schedule.cron, self.schedule.time_zone).shown(run.due_s)
        more = f" and {run.count - 1} before" if run.count > 1 else ""
        return f"{run.outcome} {at}{more}" + (f": {run.reason}" if run.reason else "")


#: Called once for each, by the scheduler that saw it. It must not block; what it raises is logged.
Listener = Callable[[RunEnded], None]


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="schedule", daemon=True).start()


class Timekeeper:
    """One scheduler's timekeeper; tick() is called while its custodian leads."""

    def __init__(
        self,
        store: ScheduleStore,
        settings: Settings,
        metrics: CustodianMetrics,
        listeners: Sequence[Listener] = (),
        start: Callable[[Callable[[], None]], None] = _in_thread,
    ) -> None:
        """start: lets work go on by itself that may take minutes, as models are scored here."""
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._listeners = listeners
        self._start = start
        self._owner = f"scheduler:{settings.host}:{os.getpid()}:{secrets.token_hex(3)}"
        #: Runs that are being prepared here, by token, with their schedules' names.
        self._preparing: dict[str, tuple[str, OpenRun]] = {}
        self._one_at_a_time = threading.Lock()
        #: Token of a run -> how many of its jobs are known to have ended.
        self._ended: dict[str, int] = {}

    def tick(self, now_s: float) -> None:
        """Do what is due. Raises InfrastructureError."""
        work = self._store.at_work(now_s)
        for name, due_s in work.due.items():
            try:
                self._begin(name, due_s, now_s)
            except NotFound:  # it was removed just now, or cannot be read
                self._store.set_aside(name, "a schedule without a sound record")
            except UsageError as error:  # written by somebody else
                self._store.set_aside(name, str(error))
        for name, run in work.open_runs.items():
            if run.queued:
                self._look(name, run, now_s)
            elif run.token not in self._preparing and (
                run.owner == self._owner or run.until_s < now_s
            ):
                self._prepare(name, run, now_s)
        tokens = {run.token for run in work.open_runs.values()}
        self._ended = {token: n for token, n in self._ended.items() if token in tokens}

    def resign(self) -> None:
        """Let another scheduler go on at once with what is prepared here."""
        for token, (name, run) in [*self._preparing.items()]:
            self._store.write_run(name, token, run.model_copy(update={"until_s": 0.0}))

    def _begin(self, name: str, due_s: float, now_s: float) -> None:
        """Begin what was due, or note why there is no run."""
        schedule = self._store.get(name).schedule
        cron = Cron(schedule.cron, schedule.time_zone)
        times = cron.between(due_s, now_s, _MOST_MISSED) or [due_s]
        last_s = times[-1]
        missed = times[:-1] if now_s - last_s <= LATE_S else times
        run = None if missed == times else new_run(name, last_s, now_s, self._owner)
        gap = missed and EndedRun(
            outcome=Outcome.MISSED,
            due_s=missed[-1],
            ended_s=now_s,
            count=len(missed),
            reason="no scheduler ran",
        )
        skipped = EndedRun(
            outcome=Outcome.SKIPPED,
            due_s=last_s,
            ended_s=now_s,
            reason="the run before it had not finished",
        )
        done = self._store.begin(
            name, due_s, cron.after(now_s), missed=gap or None, skipped=skipped, run=run
        )
        if done in {"stale", "gone"}:
            return
        if gap:
            self._tell(schedule, gap)
        if done == "skipped":
            self._tell(schedule, skipped)
        elif run is not None:
            late = f", {now_s - last_s:.0f} s late" if now_s - last_s > _PROMPT_S else ""
            log.info("schedule %s: sweep %s begins%s", name, run.sweep_id, late)

    def _prepare(self, name: str, run: OpenRun, now_s: float) -> None:
        """Have the jobs of a run queued, beside this thread."""
        mine = run
        if run.owner != self._owner:
            log.warning("schedule %s: %s did not queue its jobs: taken over", name, run.owner)
            mine = run.model_copy(
                update={
                    "token": secrets.token_hex(8),
                    "owner": self._owner,
                    "until_s": now_s + PREPARED_WITHIN_S,
                }
            )
            if not self._store.write_run(name, run.token, mine):
                return
        self._preparing[mine.token] = name, mine

        def work() -> None:
            try:
                with self._one_at_a_time, Lab(settings=self._settings) as lab:
                    carry_out(lab, name, mine, now_s)
            except EdgeprofError as error:  # the next tick tries again
                log.warning("schedule %s: %s; trying on", name, error)
            finally:
                self._preparing.pop(mine.token, None)

        self._start(work)

    def _look(self, name: str, run: OpenRun, now_s: float) -> None:
        """End a run whose jobs have ended."""
        found = self._store.run_jobs(name, self._ended.get(run.token, 0))
        if found.ended is not None:
            self._ended[run.token] = found.ended
            return
        lost = found.jobs - found.succeeded
        reasons = [f"{lost} of {found.jobs} jobs did not succeed"] if lost else []
        reasons += run.left_out
        ended = EndedRun(
            outcome=Outcome.FAILED if reasons else Outcome.SUCCEEDED,
            due_s=run.due_s,
            ended_s=now_s,
            sweep_id=run.sweep_id,
            started_s=run.started_s,
            asked_by=run.asked_by,
            jobs=found.jobs,
            succeeded=found.succeeded,
            refused=run.refused,
            reason="; ".join(reasons)[:1000],
        )
        try:
            schedule = self._store.get(name).schedule
            Cron(schedule.cron, schedule.time_zone)
        except UsageError as error:
            self._store.set_aside(name, str(error))
            return
        if self._store.end(name, run.token, ended):
            self._tell(schedule, ended)

    def _tell(self, schedule: Schedule, run: EndedRun) -> None:
        """Log and count the end of a run, and tell the listeners."""
        self._metrics.run_ended(run.outcome, run.count)
        level = logging.INFO if run.outcome is Outcome.SUCCEEDED else logging.WARNING
        event = RunEnded(schedule, run)
        fields = {"schedule": schedule.name} | ({"sweep_id": run.sweep_id} if run.sweep_id else {})
        with bound_fields(**fields):
            log.log(level, "schedule %s: %s", schedule.name, event.text)
            for listener in self._listeners:
                try:
                    listener(event)
                except Exception:
                    log.warning("schedule %s: a listener failed", schedule.name, exc_info=True)
