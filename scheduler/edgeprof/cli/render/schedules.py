"""Recurring sweeps as a table, as text and as JSON. Times are in the schedule's own time zone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.text import Text

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.client.cron import Cron
from edgeprof.client.humanize import ago, counted, human_bytes
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.schedule import EndedRun, Outcome, Schedule, ScheduleView

#: How long a missed run stands in the list.
_MISSED_SHOWN_S: Final = 7 * 86400.0
_STYLE: Final = {
    Outcome.SUCCEEDED: "green",
    Outcome.FAILED: "red",
    Outcome.SKIPPED: "yellow",
    Outcome.MISSED: "yellow",
}


def moment(schedule: Schedule, moment_s: float) -> str:
    """Return a time in the schedule's zone: "2026-11-25 02:00 CET"."""
    try:
        return Cron(schedule.cron, schedule.time_zone).shown(moment_s)
    except UsageError:  # somebody else wrote it; `list` has to show the others
        return f"{moment_s:.0f}"


def next_run(view: ScheduleView) -> str:
    """Return when it runs next, or that it is paused."""
    if view.paused is not None:
        return "paused"
    return "" if view.next_s is None else moment(view.schedule, view.next_s)


def sheet(views: Sequence[ScheduleView], now_s: float) -> Sheet:
    """Return a row for each schedule."""
    table = Sheet(
        [
            Column("schedule"),
            Column("cron", leave=4),
            Column("next run"),
            Column("last run", leave=5),
            Column("note", leave=6, text=True),
            Column("sweep", leave=2),
            Column("user", leave=1),
            Column("time zone", leave=0),
        ]
    )
    for view in views:
        schedule = view.schedule
        state, sweep_id = _last(view, now_s)
        table.add(
            schedule.name,
            schedule.cron,
            _next(view, now_s),
            state,
            _note(view, now_s),
            sweep_id,
            schedule.user,
            schedule.time_zone,
        )
    return table


def _next(view: ScheduleView, now_s: float) -> str:
    """Return the same in fewer characters, for 80 columns."""
    if view.next_s is None:
        return next_run(view)
    try:
        cron = Cron(view.schedule.cron, view.schedule.time_zone)
    except UsageError:
        return next_run(view)
    return cron.shown_soon(view.next_s, now_s)


def _last(view: ScheduleView, now_s: float) -> tuple[Text, str]:
    """Return the state of the last run that began, and its sweep."""
    if view.open_run is not None:
        since = ago(now_s - view.open_run.started_s).removesuffix(" ago")
        return Text(f"running {since}", style="cyan"), view.open_run.sweep_id
    for run in view.runs:
        if run.sweep_id is not None:
            return (
                Text(f"{run.outcome} {ago(now_s - run.ended_s)}", style=_STYLE[run.outcome]),
                run.sweep_id,
            )
    return Text("never"), ""


def _note(view: ScheduleView, now_s: float) -> str:
    """Return what a person should know: what was missed of late, what was skipped since the last
    run, and why that one failed."""
    began = [run for run in view.runs if run.sweep_id is not None]
    last_s = max((run.due_s for run in began), default=0.0)
    missed = [
        run
        for run in view.runs
        if run.outcome is Outcome.MISSED and run.due_s > now_s - _MISSED_SHOWN_S
    ]
    notes = []
    if missed:
        more = sum(run.count for run in missed) - 1
        notes.append(_without_run(view.schedule, missed[0], more))
    skipped = [run for run in view.runs if run.outcome is Outcome.SKIPPED and run.due_s > last_s]
    if skipped:
        notes.append(_without_run(view.schedule, skipped[0], len(skipped) - 1))
    if began and began[0].reason and view.open_run is None:
        notes.append(began[0].reason)
    return "; ".join(notes)


def _without_run(schedule: Schedule, run: EndedRun, more: int) -> str:
    before = f" and {more} before" if more else ""
    return f"{run.outcome} {moment(schedule, run.due_s)}{before}"


def about(view: ScheduleView) -> str:
    """Return a schedule's own lines."""
    schedule = view.schedule
    paused = view.paused and (
        f"paused by {view.paused.user} at {moment(schedule, view.paused.at_s)}"
    )
    lines = {
        "schedule": schedule.name,
        "cron": f"{schedule.cron} ({_in_words(schedule)})",
        "time zone": schedule.time_zone,
        "next run": paused or next_run(view),
        "added": f"by {schedule.user} at {moment(schedule, schedule.added_s)},"
        f" from {schedule.file}",
    }
    if view.open_run is not None:
        lines["running"] = (
            f"sweep {view.open_run.sweep_id} since {moment(schedule, view.open_run.started_s)}"
        )
    for file in (*schedule.models, *([schedule.corpus] if schedule.corpus else [])):
        kind = "text" if file is schedule.corpus else "model"
        lines[f"{kind} {file.named}"] = f"{file.sha256[:12]}, {human_bytes(file.size_bytes)}"
    wide = max(map(len, lines))
    return "\n".join(f"{label:{wide}}  {text}" for label, text in lines.items())


def _in_words(schedule: Schedule) -> str:
    try:
        return str(Cron(schedule.cron, schedule.time_zone))
    except UsageError:
        return "?"


def runs_sheet(view: ScheduleView) -> Sheet:
    """Return a row for each of the last runs, newest first."""
    table = Sheet(
        [
            Column("due"),
            Column("outcome"),
            Column("jobs", leave=2, right=True),
            Column("sweep", leave=4),
            Column("asked by", leave=0),
            Column("note", leave=3, text=True),
        ]
    )
    for run in view.runs:
        began = run.sweep_id is not None
        refused = [f"{counted(run.refused, 'combination')} refused"] if run.refused else []
        more = [f"and {run.count - 1} before"] if run.count > 1 else []
        table.add(
            moment(view.schedule, run.due_s),
            Text(run.outcome, style=_STYLE[run.outcome]),
            f"{run.succeeded}/{run.jobs}" if began else "",
            run.sweep_id or "",
            run.asked_by,
            "; ".join([*more, *([run.reason] if run.reason else []), *refused]),
        )
    return table


def as_json(view: ScheduleView) -> dict[str, Any]:
    """Return a schedule for programs: what was added, its state, and its runs, newest first."""
    found = view.model_dump(mode="json", exclude={"open_run": {"token", "owner", "until_s"}})
    return {**found.pop("schedule"), **found}
