"""Waiting for jobs with bars; leaving by Ctrl-C leaves the jobs alone, and says so."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from edgeprof.scheduler.cli import exits, output
from edgeprof.scheduler.lab import Lab
from edgeprof.scheduler.render.follow import Follower
from edgeprof.scheduler.render.live import live
from edgeprof.shared.jobs import JobState
from edgeprof.shared.results import JobView


def wait(lab: Lab, job_ids: Sequence[str]) -> list[JobView]:
    """Show bars until all jobs have ended; returns them in the order given. Ctrl-C exits 130."""
    follower = Follower.of(lab, job_ids)
    try:
        with live(output.stderr(), len(job_ids)) as bars:
            for look in follower.looks():
                bars.show(look)
    except KeyboardInterrupt:
        left = list(follower.pending)
        output.note(f"not waiting any more; {len(left)} job(s) go on: {' '.join(left)}")
        output.note("hint: `edgeprof watch ID` looks again, `edgeprof cancel ID` stops one")
        raise typer.Exit(exits.INTERRUPTED) from None
    by_id = {view.id: view for view in follower.ended}
    return [by_id[job_id] for job_id in job_ids if job_id in by_id]


def exit_code(views: Sequence[JobView]) -> int:
    """Return 0 when all succeeded, else 1."""
    good = all(view.state is JobState.SUCCEEDED for view in views)
    return exits.OK if good else exits.JOB_FAILED
