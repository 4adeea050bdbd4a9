"""`lab.schedules`: sweeps that the scheduler runs again and again.

lab.schedules.add("night.toml", "0 2 * * *", time_zone="Europe/Berlin")
for view in lab.schedules.all():
    print(view.schedule.name, view.next_s, view.runs[:1])
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeprof.client import scheduled_sweep, scoring, sweep_plan
from edgeprof.client.cron import Cron, own_time_zone
from edgeprof.client.lab import Lab
from edgeprof.client.notify import Wish
from edgeprof.client.sweep import Refused
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared.errors import UsageError
from edgeprof.shared.identity import user_name
from edgeprof.shared.models import catalogue
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.types.job import MAX_TAGS
from edgeprof.shared.types.notification import StandingWish
from edgeprof.shared.types.schedule import (
    MAX_MODELS,
    MAX_TEXT,
    KeptFile,
    OpenRun,
    Paused,
    Schedule,
    ScheduleView,
)
from edgeprof.shared.types.wire import is_name

_NO_NAME: Final = "letters, digits, '.', '_' and '-', at most 64"


@dataclass(frozen=True, slots=True)
class Added:
    """A schedule that was added, and what a run of it is, as the lab's boards are now."""

    schedule: Schedule
    next_s: float
    n_jobs: int
    refused: tuple[Refused, ...]


class Schedules:
    """The recurring sweeps of a lab."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._store = lab.store.schedules

    def add(
        self,
        file: str | Path,
        cron: str,
        *,
        name: str | None = None,
        time_zone: str | None = None,
        wish: Wish | None = None,
        now_s: float | None = None,
    ) -> Added:
        """Keep a sweep's file with its models, to be run at the times of a cron expression.

        name: default, the file's. time_zone: default, this machine's. wish: whom to tell of each
        run. Later changes of the file and its models do not reach the schedule. Raises UsageError
        for a mistake in the file (with its line), in `cron` or `time_zone`, and for a name that is
        taken; ModelError and JobError when no board can run any of it.
        """
        path = Path(file)
        sweep = SweepFile.read(path)
        named = _name_of(path) if name is None else name
        if not is_name(named):
            raise UsageError(f"{named!r} is no name: {_NO_NAME}", hint="e.g. --name nightly")
        zone = own_time_zone() if time_zone is None else time_zone
        next_s = Cron(cron, zone).after(time.time() if now_s is None else now_s)
        _check_limits(sweep)
        plan = sweep_plan.plan(self._lab, sweep, self._lab.boards())
        if not plan.planned:
            raise plan.refused[0].error
        contents: dict[str, bytes] = {}
        models = []
        for called, where in sweep.models().items():
            at = catalogue.locate(where)
            # As it was when it was planned, even if it is written to just now.
            model = plan.batch.get(at.absolute()) or catalogue.resolve_source(where)
            models.append(_keep(called, at, model.data, contents))
        corpus = sweep.keys.corpus
        schedule = Schedule(
            name=named,
            cron=" ".join(cron.split()),
            time_zone=zone,
            file=one_line(path.name, 255),
            text=sweep.text,
            models=tuple(models),
            corpus=None if corpus is None else _kept_corpus(sweep, corpus, contents),
            user=user_name(),
            added_s=time.time() if now_s is None else now_s,
        )
        self._store.add(schedule, contents, next_s, _standing(wish, schedule.user))
        return Added(schedule, next_s, len(plan.planned), tuple(plan.refused))

    def all(self) -> list[ScheduleView]:
        """Return all schedules, by name."""
        return self._store.all()

    def get(self, name: str) -> ScheduleView:
        """Return one schedule with its last runs. Raises NotFound."""
        return self._store.get(name)

    def pause(self, name: str) -> bool:
        """Let it have no more runs; False: it was paused before. A run that is open goes on."""
        return self._store.pause(name, Paused(user=user_name(), at_s=time.time()))

    def resume(self, name: str, now_s: float | None = None) -> bool:
        """End a pause; False: there was none. What was due meanwhile does not count as missed."""
        schedule = self._store.get(name).schedule
        times = Cron(schedule.cron, schedule.time_zone)
        return self._store.resume(name, times.after(time.time() if now_s is None else now_s))

    def run(self, name: str, now_s: float | None = None) -> OpenRun:
        """Begin a run now, beside the planned ones; returns it with its sweep's id.

        Its end is noted by the scheduler. Raises NotFound, and UsageError while a run is open.
        """
        self._store.get(name)
        moment_s = time.time() if now_s is None else now_s
        owner = f"client:{self._lab.settings.host}:{os.getpid()}"
        run = scheduled_sweep.new_run(name, moment_s, moment_s, owner, asked_by=user_name())
        self._store.begin_now(name, run)
        return scheduled_sweep.carry_out(self._lab, name, run, moment_s)

    def remove(self, name: str) -> None:
        """Remove a schedule; the jobs of its runs stay, and go on. Raises NotFound."""
        self._store.remove(name)


def _standing(wish: Wish | None, user: str) -> StandingWish | None:
    if wish is None or not wish.addresses:
        return None
    return StandingWish(
        user=user, addresses=wish.addresses, conditions=wish.conditions, against=wish.against
    )


def _name_of(path: Path) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("._-")[:55] or "sweep"


def _check_limits(sweep: SweepFile) -> None:
    if len(sweep.text) > MAX_TEXT:
        raise UsageError(f"{sweep.path} has more than the {MAX_TEXT} characters of a schedule")
    if len(sweep.keys.model) > MAX_MODELS:
        raise UsageError(f"{sweep.path} names more than the {MAX_MODELS} models of a schedule")
    tags: Mapping[str, str] = sweep.keys.tags
    if scheduled_sweep.TAG in tags or len(tags) >= MAX_TAGS:
        raise UsageError(
            f"{sweep.path}: the tag {scheduled_sweep.TAG!r} is that of the schedule's name, beside"
            f" at most {MAX_TAGS - 1} others",
            hint="call yours otherwise",
        )


def _kept_corpus(sweep: SweepFile, named: str, contents: dict[str, bytes]) -> KeptFile:
    path = sweep.corpus
    assert path is not None
    scoring.corpus(path)  # with its errors
    return _keep(named, path, path.read_bytes(), contents)


def _keep(named: str, path: Path, content: bytes, contents: dict[str, bytes]) -> KeptFile:
    sha256 = hashlib.sha256(content).hexdigest()
    contents[sha256] = content
    name = one_line(path.name, 200).lstrip(".") or "file"
    return KeptFile(named=named, file=name, sha256=sha256, size_bytes=len(content))
