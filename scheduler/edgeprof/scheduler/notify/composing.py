"""Makes the event of a wish whose jobs have ended, or finds that nothing is to be told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import quote

from edgeprof.client import compared as words
from edgeprof.client.comparison import Comparison, Row, Verdict
from edgeprof.client.comparison import compare as compared_jobs
from edgeprof.client.gate import MISSING, Gates
from edgeprof.client.measures import MEASURES
from edgeprof.client.query import Query
from edgeprof.client.resuming import key_of_view
from edgeprof.client.selection import MOST_JOBS, Kind, Selected, select
from edgeprof.scheduler.notify.event import (
    MOST_LISTED,
    AboutJob,
    BrokenCondition,
    Compared,
    Event,
    EventData,
    EventType,
)
from edgeprof.scheduler.site.records import ArchivedJobs, Records
from edgeprof.shared.errors import JobNotFound, UsageError
from edgeprof.shared.store import site_address
from edgeprof.shared.store.lab import LabStore
from edgeprof.shared.store.search import JobFilter, JobSearch
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.notification import Asked, SubjectKind
from edgeprof.shared.types.result import JobView

_TYPES: dict[SubjectKind, EventType] = {
    SubjectKind.JOB: "job.ended",
    SubjectKind.SWEEP: "sweep.ended",
    SubjectKind.SCHEDULE: "schedule.ended",
}


class Composer:
    """Reads what happened. Raises InfrastructureError when Redis or the archive does not answer."""

    def __init__(self, store: LabStore, archive: ArchivedJobs, host: str) -> None:
        self._store = store
        self._archive = archive
        self._host = host

    def event(self, asked: Asked, at_s: float) -> Event | None:
        """Return what to tell; None when there are conditions and none is broken."""
        subject = asked.subject
        views = self._jobs(asked)
        compared = None
        if asked.against is not None and not (subject.note and not views):
            compared = _compared(asked, views, self._archive)
            if asked.conditions and not compared.broken and not compared.trouble:
                return None
        found = bool(compared and compared.broken)
        return Event(
            type="regression.found" if found else _TYPES[subject.kind],
            timestamp=datetime.fromtimestamp(at_s, UTC).isoformat(timespec="milliseconds"),
            text=_text(asked, views, compared),
            data=EventData(
                kind=subject.kind,
                name=subject.name,
                sweep_id=_sweep_id(asked),
                user=asked.user,
                url=self._url(asked),
                jobs=dict(Counter(view.state for view in views)),
                without_result=[_about(view) for view in _without(views)][:MOST_LISTED],
                comparison=compared,
            ),
        )

    def _jobs(self, asked: Asked) -> list[JobView]:
        """Return the jobs that the wish is about, oldest first; of equal ones the last."""
        if asked.subject.kind is SubjectKind.JOB:
            try:
                return [Records(self._store, self._archive).job(asked.subject.name)]
            except JobNotFound:
                return []
        sweep_id = _sweep_id(asked)
        if sweep_id is None:
            return []
        # First those that no archive holds: what is archived meanwhile is found there after that.
        search = JobSearch(self._store.script)
        waiting = search.newest("unarchived", JobFilter(sweep_id=sweep_id), MOST_JOBS)
        found = {view.id: view for view in self._store.jobs.views(waiting)}
        found |= {
            view.id: view for view in self._archive.find(Query(sweep_id=sweep_id, limit=MOST_JOBS))
        }
        oldest = sorted(found.values(), key=lambda view: (view.created_s, view.id))
        # A sweep that is asked for again measures anew what had failed.
        return list({key_of_view(view): view for view in oldest}.values())

    def _url(self, asked: Asked) -> str | None:
        base = site_address.base_url(self._store.script, self._host)
        if base is None:
            return None
        if asked.subject.kind is SubjectKind.JOB:
            return f"{base}/jobs/{quote(asked.subject.name)}"
        sweep_id = _sweep_id(asked)
        return base if sweep_id is None else f"{base}/sweeps/{quote(sweep_id)}"


def _sweep_id(asked: Asked) -> str | None:
    subject = asked.subject
    return subject.name if subject.kind is SubjectKind.SWEEP else subject.sweep_id


def _without(views: Sequence[JobView]) -> list[JobView]:
    return [view for view in views if view.state is not JobState.SUCCEEDED]


def _about(view: JobView) -> AboutJob:
    return AboutJob(
        id=view.id,
        state=view.state,
        model=view.model.name,
        made_as=view.model.made_as,
        target=view.target,
        reason=view.reason,
    )


def _compared(asked: Asked, views: Sequence[JobView], archive: ArchivedJobs) -> Compared:
    """Compare the jobs with the selection; what stands in the way is told, not raised."""
    assert asked.against is not None
    try:
        gates = Gates.parse(asked.conditions, option="--notify-if")
        old = select(asked.against, archive)
        good = tuple(view for view in views if view.result is not None)
        kind = Kind.JOB if asked.subject.kind is SubjectKind.JOB else Kind.SWEEP
        new = Selected(_sweep_id(asked) or asked.subject.name, kind, good, len(views) - len(good))
        names = [name for name in MEASURES if name != "ttft" or name in gates.measures]
        found = compared_jobs(old.views, new.views, measures=names)
        if not found.rows and not gates.none_missing:
            raise words.nothing_in_common(old, new)
        gates.check(found)
    except UsageError as error:
        return Compared(against=asked.against, trouble=str(error))
    verdicts = Counter(row.verdict for row in found.rows)
    return Compared(
        against=str(old),
        better=verdicts[Verdict.BETTER],
        worse=verdicts[Verdict.WORSE],
        same=verdicts[Verdict.SAME],
        unknown=verdicts[Verdict.UNKNOWN],
        missing=len(found.only_old),
        broken=_broken(found, gates, str(old))[:MOST_LISTED],
    )


def _broken(found: Comparison, gates: Gates, against: str) -> list[BrokenCondition]:
    """Return what breaks a condition, the largest change first."""
    rows = [(row, condition) for row in found.rows for condition in gates.broken(row)]
    rows.sort(key=lambda pair: -abs(pair[0].change.mean))
    return [_broken_by(row, condition, against) for row, condition in rows] + [
        BrokenCondition(
            condition=MISSING,
            text=f"{words.key_text(key)}, which {against} has, was not measured",
            measure=MISSING,
            model=key.model,
            made_as=key.made_as,
            platform=key.platform,
            old=1,
            new=0,
            unit="",
            change=-1,
        )
        for key in (found.only_old if gates.none_missing else ())
    ]


def _broken_by(row: Row, condition: str, against: str) -> BrokenCondition:
    return BrokenCondition(
        condition=condition,
        text=words.sentence_of(row, against),
        measure=row.measure.name,
        model=row.key.model,
        made_as=row.key.made_as,
        platform=row.key.platform,
        old=row.old.mean,
        new=row.new.mean,
        unit=row.measure.unit,
        change=row.change.mean,
    )


def _text(asked: Asked, views: Sequence[JobView], compared: Compared | None) -> str:
    """Return all of it for people. The first line is the whole in short."""
    lines = [_summary(asked, views)]
    if compared is not None:
        if compared.trouble:
            lines[0] += f"; not compared with {compared.against}: {compared.trouble}"
        elif compared.broken:
            more = len(compared.broken) - 1
            first = compared.broken[0].text + (f", and {more} more" if more else "")
            lines = [first, *lines, *(each.text for each in compared.broken[1:])]
        else:
            lines.append(
                f"against {compared.against}: {compared.better} better, {compared.worse} worse,"
                f" {compared.same} the same, {compared.unknown} can't tell"
            )
    if asked.subject.kind is not SubjectKind.JOB:
        lines += [
            f"{view.state}: {view.model.name} {view.model.made_as} on {view.target}"
            f" (job {view.id}): {view.reason}"
            for view in _without(views)[:MOST_LISTED]
        ]
    return "\n".join(lines)


def _summary(asked: Asked, views: Sequence[JobView]) -> str:
    subject = asked.subject
    name = f"{subject.kind} {subject.name}"
    if subject.note:
        return f"{name}: {subject.note}"
    if not views:
        return f"{name}: no job of it is known any more"
    if subject.kind is SubjectKind.JOB:
        (view,) = views
        what = f"{view.model.name} {view.model.made_as} on {view.target}"
        return f"{name} {view.state}: {what}{_outcome(view)}"
    states = Counter(view.state for view in views)
    good = states.pop(JobState.SUCCEEDED, 0)
    if not states:
        return f"{name}: all {good} job(s) succeeded"
    others = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{name}: {good} of {len(views)} job(s) succeeded, {others}"


def _outcome(view: JobView) -> str:
    """Return a job's speeds, or why it has none."""
    if view.result is None:
        return f": {view.reason}"
    case = view.result.cases[0] if view.result.cases else None
    if case is None:
        return ""
    text = f", prefill {case.prefill_tokens_per_second.mean:.2f} t/s"
    if case.decode_tokens_per_second:
        text += f", decode {case.decode_tokens_per_second.mean:.2f} t/s"
    return text
