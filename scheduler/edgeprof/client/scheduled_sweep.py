"""Carries out one run of a schedule: its jobs are planned from what was kept, and queued once.

A scheduler may die in the middle of it, and another carries out the same run. Each job's id is made
of the run and of what the job measures, so the second one queues only what is missing.
"""

from __future__ import annotations

import dataclasses
import logging
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgeprof.client import resuming, routing, sweep_plan
from edgeprof.client.lab import Lab
from edgeprof.client.planning import Planned
from edgeprof.client.request import Request
from edgeprof.client.sweep import Plan
from edgeprof.client.sweep_file import SweepFile
from edgeprof.shared import private_files
from edgeprof.shared.errors import EdgeprofError, StoreRefused, StoreUnavailable, UsageError
from edgeprof.shared.own_version import own_version
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.blobs import sha256_of
from edgeprof.shared.store.job_values import job_id_of
from edgeprof.shared.telemetry import tracing
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.schedule import KeptFile, OpenRun, Schedule, ScheduleView

log = logging.getLogger(__name__)

#: The tag of its jobs; the value is the schedule's name.
TAG: Final = "schedule"
#: So long nobody else prepares a run. It takes seconds, and minutes where large models are scored.
PREPARED_WITHIN_S: Final = 600.0
#: Jobs that no board takes expire so long before the next run, which would be skipped else.
_BEFORE_NEXT_S: Final = 60.0
_LONGEST_WAIT_S: Final = 86400.0
_MOST_REASONS: Final = 20


def new_run(schedule: str, due_s: float, now_s: float, owner: str, asked_by: str = "") -> OpenRun:
    """Return a run that is to begin."""
    return OpenRun(
        token=secrets.token_hex(8),
        sweep_id=f"{schedule[:55]}-{secrets.token_hex(4)}",
        due_s=due_s,
        started_s=now_s,
        asked_by=asked_by,
        owner=owner,
        until_s=now_s + PREPARED_WITHIN_S,
    )


def carry_out(lab: Lab, name: str, run: OpenRun, now_s: float | None = None) -> OpenRun:
    """Queue the jobs of a run that has begun, and note it; returns the run as noted.

    What keeps all of it from being queued is noted, too: the run then ends with that reason. Raises
    StoreUnavailable: the run is as before, and to be carried out again.
    """
    ids: list[str] = []
    try:
        view = lab.store.schedules.get(name)
        file = _kept_file(lab, view.schedule)
        plan, absent = _plan(lab, file, lab.boards())
        made = _of_run(plan, view, run, time.time() if now_s is None else now_s)
        # Jobs that measure the same have one id.
        ids = [job_id_of(f"{run.sweep_id} {resuming.key_of(each.spec)}") for each in made]
        if made:
            with tracing.sweep_span(run.sweep_id):
                lab.submit_planned(made, ids)
        left_out = absent
        if not made and plan.refused:
            left_out = [*absent, str(plan.refused[0].error)]
        noted = {"refused": len(plan.refused), "left_out": _reasons(left_out)}
    except StoreUnavailable:
        raise
    except EdgeprofError as error:
        noted = {"left_out": _reasons([str(error)])}
    except Exception as error:  # the run ends with it, and the next one happens
        log.warning("schedule %s: unexpected %s", name, type(error).__name__, exc_info=True)
        noted = {"left_out": _reasons([f"unexpected {type(error).__name__}: {error}"])}
    done = run.model_copy(update={"token": secrets.token_hex(8), "queued": True, **noted})
    lab.store.schedules.write_run(name, run.token, done, ids)
    return done


def _kept_file(lab: Lab, schedule: Schedule) -> SweepFile:
    """Return the sweep's file with the contents of its models when it was added."""
    named = [*schedule.models, *([schedule.corpus] if schedule.corpus else [])]
    kept = {file.named: _kept(lab, schedule.name, file) for file in named}
    return SweepFile.parse(Path(schedule.file), schedule.text, kept)


def _kept(lab: Lab, name: str, file: KeptFile) -> Path:
    """Return a local copy of a file; its name is what a model's record is named after."""
    path = lab.settings.cache_dir / "schedules" / file.sha256 / file.file
    if not (path.is_file() and sha256_of(path) == file.sha256):
        content = lab.store.schedules.file(name, file)
        try:
            private_files.write_whole(path, content)
        except OSError as error:
            raise StoreRefused(f"cannot keep {file.named} in {path.parent}: {error}") from None
    return path


def _plan(lab: Lab, file: SweepFile, boards: Sequence[BoardInfo]) -> tuple[Plan, list[str]]:
    """Return the plan of what the lab has boards for, and what it has none for.

    In `edgeprof sweep` a name that nobody has announced is a typo, and stops all of it. Here it was
    checked when the schedule was added: the board has left the lab since, and the others go on.
    """
    present: list[Request] = []
    absent: dict[str, None] = {}
    for request in file.requests():
        try:
            routing.choose_target(
                request.platform,
                request.board,
                boards,
                wait_for_board=request.wait_for_board,
                require=request.require,
            )
        except UsageError as error:
            absent[str(error)] = None
        else:
            present.append(request)
    return sweep_plan.plan_of(lab, file, present, boards), list(absent)


def _of_run(plan: Plan, view: ScheduleView, run: OpenRun, now_s: float) -> list[Planned]:
    """Return the planned jobs as jobs of this run."""
    until_next_s = _LONGEST_WAIT_S if view.next_s is None else view.next_s - now_s - _BEFORE_NEXT_S
    ours = {
        "sweep_id": run.sweep_id,
        "user": run.asked_by or view.schedule.user,
        "queue_timeout_s": min(max(until_next_s, _BEFORE_NEXT_S), _LONGEST_WAIT_S),
        "source": f"edgeprof schedule {own_version()}"[:64],
    }
    tag = {TAG: view.schedule.name}
    return [
        dataclasses.replace(
            made, spec=made.spec.model_copy(update={**ours, "tags": {**made.spec.tags, **tag}})
        )
        for _, made in plan.planned
    ]


def _reasons(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(one_line(text, 1000) for text in texts[:_MOST_REASONS])
