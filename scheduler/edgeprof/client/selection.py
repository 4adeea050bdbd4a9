"""Finds the jobs that a user names in one word: one side of a comparison, the jobs of a report.

The word is a job's id, a sweep's id, a saved baseline, the beginning of a firmware's git hash, a
tag (NAME=VALUE) or a range of time (2026-11-20..2026-11-25, 7d..). A prefix says which is meant
where a word could be several: `sweep:nightly`, `baseline:nightly`. `schedule:nightly` is the last
run of a recurring sweep, and `schedule:nightly~1` the one before it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from typing import Final, Protocol

from edgeprof.client.moments import EXAMPLES, parse_moment
from edgeprof.client.query import Query
from edgeprof.shared.errors import NotFound, UsageError
from edgeprof.shared.types.result import JobView

#: Documents of more jobs would not fit into memory comfortably.
MOST_JOBS: Final = 20_000
_HASH: Final = re.compile(r"[0-9a-f]{4,40}(-dirty)?")


class Kind(StrEnum):
    """What a word names."""

    JOB = "job"
    SWEEP = "sweep"
    BASELINE = "baseline"
    FIRMWARE = "firmware"
    TAG = "tag"
    TIME = "time"
    SCHEDULE = "schedule"


@dataclass(frozen=True, slots=True)
class Selection:
    """One way to read a word."""

    kind: Kind
    query: Query
    #: The run of a schedule: its name, and how many runs before the last.
    run: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """The jobs that a word names."""

    text: str
    kind: Kind
    #: Those that succeeded, newest first; at least one.
    views: tuple[JobView, ...]
    #: How many others ended without a result.
    without_result: int

    def __str__(self) -> str:
        """Return the word with its kind: "sweep nightly-1a2b3c4d"."""
        return f"{self.kind} {self.text.removeprefix(f'{self.kind}:')}"


class JobSource(Protocol):
    """Where finished jobs are found; edgeprof.scheduler.archive.Archive is one."""

    url: str

    def find(self, query: Query) -> list[JobView]:
        """Return matching jobs, newest first."""
        ...

    def baseline_names(self) -> list[str]:
        """Return the names of all saved baselines."""
        ...

    def newest_sweeps(self, tag: tuple[str, str], limit: int) -> list[str]:
        """Return the ids of the sweeps whose jobs have a tag, the newest first."""
        ...


def readings(text: str, now_s: float) -> list[Selection]:
    """Return the ways in which a word can be read. Raises UsageError when there is none."""
    prefix, colon, rest = text.partition(":")
    if colon and prefix in set(Kind):
        return [_read(Kind(prefix), rest, now_s)]
    if ".." in text:
        return [_read(Kind.TIME, text, now_s)]
    if "=" in text:
        return [_read(Kind.TAG, text, now_s)]
    kinds = [Kind.JOB, Kind.SWEEP, Kind.BASELINE]
    if _HASH.fullmatch(text):
        kinds.append(Kind.FIRMWARE)
    return [_read(kind, text, now_s) for kind in kinds]


def select(text: str, source: JobSource, where: Query | None = None) -> Selected:
    """Return the jobs of a word, of which `where` may narrow the model, the board and the user.

    Raises NotFound for a word that names nothing, UsageError for one that names several things or
    only jobs without a result.
    """
    found: dict[Kind, list[JobView]] = {}
    readable = readings(text, time.time())
    for reading in readable:
        if views := source.find(_narrowed(_query(reading, source), where)):
            found[reading.kind] = views
    if not found:
        raise _not_found(text, [reading.kind for reading in readable], source, where)
    if len(found) > 1:
        raise UsageError(
            f"{text!r} names a {' and a '.join(found)}",
            hint=f"say which: {' or '.join(f'{kind}:{text}' for kind in found)}",
        )
    ((kind, views),) = found.items()
    if len(views) > MOST_JOBS:
        raise UsageError(f"{text!r} names more than {MOST_JOBS} jobs", hint="take a narrower one")
    good = tuple(view for view in views if view.result is not None)
    if not good:
        raise UsageError(
            f"{kind} {text!r} has no result: {len(views)} job(s), none of which succeeded",
            hint=f"edgeprof job {views[0].id} says why",
        )
    return Selected(text, kind, good, len(views) - len(good))


def schedule_run(text: str) -> tuple[str, int] | None:
    """Return the schedule of "schedule:NAME~N", and how many runs before the last N is."""
    found = re.fullmatch(rf"{Kind.SCHEDULE}:([^~]+)(?:~(\d{{1,4}}))?", text)
    return None if found is None else (found[1], int(found[2] or 0))


def _query(reading: Selection, source: JobSource) -> Query:
    """Return the query of a reading; a schedule's run is a sweep that the source knows."""
    if reading.run is None:
        return reading.query
    name, back = reading.run
    sweeps = source.newest_sweeps(("schedule", name), back + 1)
    if len(sweeps) <= back:
        raise NotFound(
            f"no run {back} before the last of schedule {name!r} in {source.url}: it has"
            f" {len(sweeps)}"
            if sweeps
            else f"no run of a schedule {name!r} in {source.url}",
            hint="edgeprof schedule list; runs get there as their jobs finish",
        )
    return replace(reading.query, sweep_id=sweeps[back])


def _read(kind: Kind, text: str, now_s: float) -> Selection:
    everything = Query(limit=MOST_JOBS + 1)
    if not text:
        raise UsageError(f"{kind}: names nothing", hint=f"e.g. {kind}:{_EXAMPLES[kind]}")
    match kind:
        case Kind.JOB:
            query = replace(everything, job_id=text)
        case Kind.SWEEP:
            query = replace(everything, sweep_id=text)
        case Kind.BASELINE:
            query = replace(everything, baseline=text)
        case Kind.FIRMWARE:
            query = replace(everything, firmware=text)
        case Kind.TAG:
            name, equals, value = text.partition("=")
            if not equals or not name:
                raise UsageError(f"{text!r} is no tag", hint="e.g. tag:kernel=new")
            query = replace(everything, tags={name: value})
        case Kind.TIME:
            query = _in_time(everything, text, now_s)
        case Kind.SCHEDULE:
            run = schedule_run(f"{kind}:{text}")
            if run is None:
                raise UsageError(f"{text!r} is no run of a schedule", hint=f"e.g. {_RUNS}")
            return Selection(kind, everything, run)
    return Selection(kind, query)


def _in_time(everything: Query, text: str, now_s: float) -> Query:
    first, dots, last = text.partition("..")
    if not dots or not (first or last):
        raise UsageError(f"{text!r} is no range of time", hint=f"e.g. {_EXAMPLES[Kind.TIME]}")
    since_s = parse_moment(first, now_s) if first else None
    until_s = parse_moment(last, now_s, ends=True) if last else None
    if since_s is not None and until_s is not None and since_s >= until_s:
        raise UsageError(f"the range {text!r} ends before it begins", hint=f"times: {EXAMPLES}")
    return replace(everything, since_s=since_s, until_s=until_s)


_RUNS: Final = "schedule:nightly for the last, schedule:nightly~1 for the one before"
_EXAMPLES: Final = {
    Kind.JOB: "7h2kq9c4m0xz",
    Kind.SWEEP: "sweep-1a2b3c4d",
    Kind.BASELINE: "release-1",
    Kind.FIRMWARE: "abc1234",
    Kind.TAG: "kernel=new",
    Kind.TIME: "2026-11-20..2026-11-25, 7d.. or ..12h",
    Kind.SCHEDULE: "nightly",
}


def _narrowed(query: Query, where: Query | None) -> Query:
    """Return a query for jobs that are also of this model, board and user."""
    if where is None:
        return query
    return replace(
        query,
        model=where.model,
        platform=where.platform,
        quantization=where.quantization,
        device_id=where.device_id,
        user=where.user,
    )


def _not_found(
    text: str, kinds: Sequence[Kind], source: JobSource, where: Query | None
) -> NotFound:
    """Return the error; it names the baseline that was perhaps meant."""
    what = kinds[0] if len(kinds) == 1 else "job, sweep, baseline or firmware"
    name = text.partition(":")[2] or text
    place = f"{_filters(where)} in {source.url}"
    hint = "finished jobs get there by `edgeprof scheduler`"
    if Kind.BASELINE in kinds:
        saved = source.baseline_names()
        if close := get_close_matches(name, saved, n=1):
            hint = f"did you mean baseline:{close[0]}?"
        elif kinds == [Kind.BASELINE]:
            hint = f"saved: {', '.join(saved)}" if saved else "edgeprof baseline save saves one"
    elif kinds in ([Kind.TIME], [Kind.TAG]):
        return NotFound(f"no jobs match {text!r}{place}", hint=hint)
    return NotFound(f"no {what} {name!r}{place}", hint=hint)


def _filters(where: Query | None) -> str:
    """Return the filters beside the word, which may be why nothing was found."""
    if where is None:
        return ""
    values = (where.model, where.quantization, where.platform, where.device_id, where.user)
    given = [value for value in values if value is not None]
    return f" with {' and '.join(given)}" if given else ""
