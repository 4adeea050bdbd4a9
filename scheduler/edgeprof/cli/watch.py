"""The command `edgeprof watch`."""

from __future__ import annotations

import sys
import time
from typing import Annotated

import typer

from edgeprof.cli import output, waiting
from edgeprof.cli.render.follow import INTERVAL_S, Follower
from edgeprof.cli.render.live import live
from edgeprof.client.lab import Lab
from edgeprof.shared.types.job import JobState


def watch(
    job_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID…]", help="Jobs; none: all that run.")
    ] = None,
    json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print jobs that ended as JSON; of the lab, a line as each ends."
        ),
    ] = False,
) -> None:
    """Show live bars: of jobs until they end, or of the whole lab until Ctrl-C.

    Example: edgeprof watch 7h2kq9c4m0xz
    """
    with Lab(hurried=True) as lab:
        if job_ids:
            for job_id in job_ids:
                lab.job(job_id)  # an unknown id must fail before anything is drawn
            waited = waiting.wait(lab, job_ids)
            if json:
                output.print_models(waited.views)
            waited.finish()
        _watch_all(lab, json=json)


def _watch_all(lab: Lab, *, json: bool) -> None:
    """Follow all jobs that are queued or running, and those that come."""
    follower = Follower.of(lab, ())
    try:
        with live(output.stderr(), None, lab.boards()) as bars:
            while True:
                for state in (JobState.RUNNING, JobState.QUEUED):
                    for view_id in lab.store.jobs.ids(state, limit=200):
                        follower.pending.setdefault(view_id, None)
                snapshot = follower.snapshot()
                bars.show(snapshot)
                for view in snapshot.ended if json else ():
                    output.data(view.model_dump_json())
                    sys.stdout.flush()  # a reader waits for the line
                time.sleep(INTERVAL_S)
    except KeyboardInterrupt:
        return
