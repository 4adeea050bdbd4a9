"""Asks for the notifications of a schedule's run, once it has ended, was skipped or was missed."""

from __future__ import annotations

from edgeprof.client.notify import Wish
from edgeprof.client.selection import schedule_run
from edgeprof.scheduler.timekeeper import Listener, RunEnded
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.types.notification import StandingWish, Subject, SubjectKind
from edgeprof.shared.types.schedule import Outcome


def tell_of_runs(store: LabStore) -> Listener:
    """Return what has people told who asked for it when the schedule was added."""

    def tell(event: RunEnded) -> None:
        name, run = event.schedule.name, event.run
        standing = store.schedules.wish(name)
        wish = standing and _of_this_run(store, event, standing)
        if not standing or not wish:
            return
        note = "" if run.outcome is Outcome.SUCCEEDED else one_line(event.text, 500)
        subject = Subject(
            kind=SubjectKind.SCHEDULE, name=name, sweep_id=run.sweep_id if run.jobs else None,
            note=note,
        )  # fmt: skip
        wish.ask(store, subject, [], standing.user)

    return tell


def _of_this_run(store: LabStore, event: RunEnded, standing: StandingWish) -> Wish | None:
    """Return whom to tell of a run. A run of the same schedule to compare with becomes its sweep.

    The archive may not have the last run yet, and would count from the one before. The first run
    has nothing before it: then it is told without a comparison, or not at all where conditions
    decide.
    """
    against = standing.against
    named = schedule_run(against) if against else None
    if named is None or named[0] != event.schedule.name or not event.run.jobs:
        return Wish(standing.addresses, standing.conditions, against)
    sweeps = [run.sweep_id for run in store.schedules.get(named[0]).runs if run.jobs]
    at = sweeps.index(event.run.sweep_id) + named[1] if event.run.sweep_id in sweeps else 0
    if at < len(sweeps):
        return Wish(standing.addresses, standing.conditions, f"sweep:{sweeps[at]}")
    decided = standing.conditions and event.run.outcome is Outcome.SUCCEEDED
    return None if decided else Wish(standing.addresses)
