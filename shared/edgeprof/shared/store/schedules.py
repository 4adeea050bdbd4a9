"""Recurring sweeps in the store: typed calls around lua/schedules.lua."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from edgeprof.shared.errors import NotFound, StoreRefused, UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.spelling import suggestion
from edgeprof.shared.store.script import LeftOut, Script
from edgeprof.shared.telemetry.trouble import Troubles
from edgeprof.shared.types.notification import StandingWish
from edgeprof.shared.types.schedule import (
    EndedRun,
    KeptFile,
    OpenRun,
    Paused,
    Schedule,
    ScheduleView,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AtWork:
    """What a scheduler has to look at."""

    #: Name -> when it was due.
    due: Mapping[str, float]
    #: Name -> its run that has not ended.
    open_runs: Mapping[str, OpenRun]


@dataclass(frozen=True, slots=True)
class RunJobs:
    """How far the jobs of a run have come."""

    #: How many, from the first, have ended; None: all have.
    ended: int | None
    jobs: int = 0
    succeeded: int = 0


class ScheduleStore:
    """Schedules by name, with the files that their sweeps name, and their runs."""

    def __init__(
        self,
        script: Script,
        limit_bytes: int,
        until_written: Callable[[Redis], None] | None = None,
    ) -> None:
        """until_written: waits until all that this Redis has acknowledged is on its disk."""
        self._script = script
        self._limit_bytes = limit_bytes
        self._until_written = until_written
        self._left_out = Troubles(log)

    # --- what a person asks for

    def add(
        self,
        schedule: Schedule,
        files: Mapping[str, bytes],
        next_s: float,
        wish: StandingWish | None = None,
    ) -> None:
        """Add a schedule with its files, by hash. When this returns it is safe.

        wish: whom to tell of its runs; only a scheduler can read it.

        Raises UsageError for a file that is too large, and when the name is taken.
        """
        for file in _files(schedule):
            if file.size_bytes > self._limit_bytes:
                raise UsageError(
                    f"{file.named} has {file.size_bytes:,} bytes, more than the"
                    f" {self._limit_bytes:,} that travel through Redis",
                    hint="raise EDGEPROF_BLOB_LIMIT_BYTES here and give Redis the memory",
                )
        flat = [part for item in files.items() for part in item]
        answer = self._script.call_patiently(
            "add_schedule",
            schedule.name,
            schedule.model_dump_json(),
            next_s,
            wish.model_dump_json() if wish else "",
            *flat,
        )
        if answer == "exists":
            raise UsageError(
                f"there is a schedule {schedule.name!r} already",
                hint=f"--name NAME gives this one another name; `edgeprof schedule remove"
                f" {schedule.name}` makes room",
            )
        if answer == "full":
            raise UsageError(
                "this lab has as many schedules as it may have",
                hint="edgeprof schedule remove NAME",
            )
        self._wait_for_disk()

    def remove(self, name: str) -> None:
        """Remove a schedule and its record; the jobs of its runs stay. Raises NotFound."""
        if not self._script.call("remove_schedule", name):
            raise self._not_found(name)
        self._wait_for_disk()

    def pause(self, name: str, who: Paused) -> bool:
        """Let a schedule have no more runs; False: it was paused before. Raises NotFound."""
        return self._told(name, self._script.call("pause_schedule", name, who.model_dump_json()))

    def resume(self, name: str, next_s: float) -> bool:
        """End a pause; False: there was none. Raises NotFound."""
        return self._told(name, self._script.call("resume_schedule", name, next_s))

    def all(self) -> list[ScheduleView]:
        """Return all schedules, by name."""
        return sorted(self._read(), key=lambda view: view.schedule.name)

    def get(self, name: str) -> ScheduleView:
        """Return one schedule. Raises NotFound."""
        found = self._read(name)
        if not found:
            raise self._not_found(name)
        return found[0]

    def file(self, name: str, file: KeptFile) -> bytes:
        """Return a file of a schedule. Raises StoreRefused when it is not what was added."""
        key = self._script.key(f"schedule:{name}:files")
        content: Any = self._script.guarded_patiently(lambda redis: redis.hget(key, file.sha256))
        if content is None or hashlib.sha256(content).hexdigest() != file.sha256:
            raise StoreRefused(
                f"schedule {name}: {file.named} is not in the store any more as it was added",
                hint=f"edgeprof schedule remove {name}, then add it again",
            )
        return bytes(content)

    # --- what a scheduler does

    def at_work(self, now_s: float) -> AtWork:
        """Return what is due at now_s, and the runs that have not ended."""
        due, open_runs = self._script.call("schedules_at_work", now_s)
        runs: dict[str, OpenRun] = {}
        for name, text in zip(open_runs[::2], open_runs[1::2], strict=True):
            try:
                runs[name] = OpenRun.read(text)
            except ValueError as error:
                self.set_aside(name, str(error))
        return AtWork(dict(zip(due[::2], map(float, due[1::2]), strict=True)), runs)

    def begin(
        self,
        name: str,
        due_s: float,
        next_s: float,
        *,
        missed: EndedRun | None,
        skipped: EndedRun,
        run: OpenRun | None,
    ) -> str:
        """Do what was due: note what was missed, and begin a run unless one is open.

        Returns "began", "skipped", "noted" (no run was to begin), or "stale" or "gone" when
        nothing was done, since another scheduler has done it or the schedule was removed.
        """
        given = (missed and missed.model_dump_json(), skipped.model_dump_json())
        begun = run.model_dump_json() if run else ""
        return str(
            self._script.call("begin_run", name, due_s, next_s, given[0] or "", given[1], begun)
        )

    def begin_now(self, name: str, run: OpenRun) -> None:
        """Begin a run that a person asks for. Raises NotFound, UsageError while another is open."""
        answer = self._script.call("begin_run", name, "", "", "", "", run.model_dump_json())
        if answer == "busy":
            raise UsageError(
                f"a run of {name} has not finished: it never runs twice at once",
                hint=f"edgeprof schedule show {name} names its sweep;"
                " edgeprof cancel --sweep ID ends its jobs",
            )
        self._told(name, answer)

    def write_run(self, name: str, token: str, run: OpenRun, job_ids: Sequence[str] = ()) -> bool:
        """Replace the open run that has this token; False: it was replaced or removed meanwhile."""
        sent = (name, token, run.model_dump_json(), " ".join(job_ids))
        return bool(self._script.call("write_run", *sent))

    def run_jobs(self, name: str, ended: int) -> RunJobs:
        """Return how far the jobs of the open run are, of which the first `ended` have ended."""
        first, *counts = self._script.call("run_jobs", name, ended)
        return RunJobs(None, *counts) if counts else RunJobs(first)

    def end(self, name: str, token: str, ended: EndedRun) -> bool:
        """End the open run that has this token; False: it was ended meanwhile."""
        return bool(self._script.call("end_run", name, token, ended.model_dump_json()))

    def wish(self, name: str) -> StandingWish | None:
        """Return whom to tell of its runs; None also where somebody else wrote what is there."""
        written = self._script.call("schedule_wish", name)
        try:
            return StandingWish.read(written) if written else None
        except ValueError:
            return None

    def set_aside(self, name: str, why: str) -> None:
        """Have no scheduler look at a schedule again that cannot be read."""
        self._script.call("set_schedule_aside", name, one_line(why, 200))

    def counts(self) -> tuple[int, int]:
        """Return how many schedules there are, and how many of them are paused."""
        every, paused = self._script.call("schedule_counts")
        return every, paused

    def _read(self, *names: str) -> list[ScheduleView]:
        found, left_out = [], LeftOut()
        for entry in self._script.call("schedules", *names):
            try:
                found.append(_view(*entry))
            except ValueError as error:
                left_out.add(error)
        left_out.tell(self._left_out, "schedule(s)")
        return found

    def _told(self, name: str, answer: str) -> bool:
        if answer == "gone":
            raise self._not_found(name)
        self._wait_for_disk()
        return answer != "before"

    def _not_found(self, name: str) -> NotFound:
        known = [view.schedule.name for view in self.all()]
        listed = "edgeprof schedule list" if known else "edgeprof schedule add FILE --cron '…'"
        return NotFound(f"no schedule {name!r}{suggestion(name, known)}", hint=listed)

    def _wait_for_disk(self) -> None:
        if self._until_written:
            self._script.guarded_patiently(self._until_written)


def _files(schedule: Schedule) -> Iterable[KeptFile]:
    return (*schedule.models, *([schedule.corpus] if schedule.corpus else []))


def _view(
    name: str, definition: str, next_s: str, paused: str, open_run: str, runs: Sequence[str]
) -> ScheduleView:
    schedule = Schedule.read(definition)
    if schedule.name != name:
        raise ValueError("it is named otherwise than its key")
    ended = []
    for line in runs:
        try:
            ended.append(EndedRun.read(line))
        except ValueError:
            continue  # one bad line must not hide the schedule
    return ScheduleView(
        schedule=schedule,
        next_s=float(next_s) if next_s else None,
        paused=Paused.read(paused) if paused else None,
        open_run=OpenRun.read(open_run) if open_run else None,
        runs=tuple(ended),
    )
