"""Waits for jobs, with bars. Ctrl-C ends the wait, and the jobs go on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

import typer

from edgeprof.cli import exits, output
from edgeprof.cli.render.follow import Follower
from edgeprof.cli.render.live import live
from edgeprof.client.lab import Lab
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.result import JobView


def exit_code(views: Iterable[JobView]) -> int:
    """Return the exit code for jobs that were waited for: 0 when all succeeded, else 1."""
    good = all(view.state is JobState.SUCCEEDED for view in views)
    return exits.OK if good else exits.JOB_FAILED


@dataclass(frozen=True, slots=True)
class Waited:
    """How a wait ended: the ended jobs in the order of their ids, and the follower."""

    views: list[JobView]
    follower: Follower

    def finish(self, *, refused: bool = False) -> NoReturn:
        """Exit 0 when all succeeded. Exit 1 when one failed or was refused before it was queued.

        Raises InfrastructureError (exit 3) when the store lost one while it was followed.
        """
        self.follower.raise_for_gone()
        raise typer.Exit(exits.JOB_FAILED if refused else exit_code(self.views))


def wait(lab: Lab, job_ids: Sequence[str]) -> Waited:
    """Show bars until all jobs have ended, or are gone. Ctrl-C exits 130."""
    follower = Follower.of(lab, job_ids)
    try:
        with live(output.stderr(), len(job_ids)) as bars:
            for snapshot in follower.snapshots():
                bars.show(snapshot)
    except KeyboardInterrupt:
        left = list(follower.pending)
        output.note(f"not waiting any more; {len(left)} job(s) go on: {' '.join(left)}")
        output.note("hint: `edgeprof watch ID` looks again, `edgeprof cancel ID` stops one")
        raise typer.Exit(exits.INTERRUPTED) from None
    by_id = {view.id: view for view in follower.ended}
    return Waited([by_id[job_id] for job_id in job_ids if job_id in by_id], follower)
