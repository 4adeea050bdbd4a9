"""The demo from start to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from edgeprof.scheduler.demo import report, sweep
from edgeprof.scheduler.demo.processes import BOARDS, PLATFORMS, DemoLab
from edgeprof.scheduler.demo.sweep import Refusal
from edgeprof.scheduler.lab import Lab, Planned, Request
from edgeprof.scheduler.render import bench
from edgeprof.scheduler.render.follow import Follower
from edgeprof.scheduler.render.live import live
from edgeprof.shared.jobs import BoardInfo
from edgeprof.shared.results import JobView
from edgeprof.shared.settings import Settings


def run_demo(
    settings: Settings,
    console: Console,
    data: Console,
    *,
    json_file: Path | None,
    n_prompt: int,
    n_gen: int,
) -> list[JobView]:
    """Run it; progress goes to `console`, the table to `data`. Returns the jobs as they ended."""
    console.print("starting Redis, scheduler and a host agent with six emulated boards …")
    with DemoLab(settings) as demo:
        boards = _boards(demo, console)
        names = [model.name for model in demo.lab.models()]
        requests = sweep.requests(names, n_prompt=n_prompt, n_gen=n_gen)
        planned, refusals = _plan(demo.lab, requests, boards, console)
        jobs = demo.lab.submit_planned(planned)
        console.print(f"queued {len(jobs)} jobs; {len(refusals)} refused before queueing")
        follower = Follower.of(demo.lab, [job.id for job in jobs])
        with live(console, len(jobs), boards) as bars:
            for look in follower.looks():
                demo.check()
                bars.show(look)
        views = sorted(follower.ended, key=_order)
        console.print("stopping what was started …")
    if json_file is not None:
        text = json.dumps(report.as_json(views, refusals), indent=2)
        json_file.write_text(text + "\n", encoding="utf-8")
    bench.print_table(bench.rows_of(views), data)
    _tell(console, views, refusals, json_file)
    return views


def _order(view: JobView) -> tuple[str, int, int]:
    kind = sweep.QUANTIZATIONS.index(view.model.quantization)
    return view.model.name, PLATFORMS.index(view.target), kind


def _boards(demo: DemoLab, console: Console) -> list[BoardInfo]:
    ready: list[BoardInfo] = []
    with console.status("waiting for boards") as status:
        for ready in demo.wait_for_boards():
            status.update(f"waiting for boards: {len(ready)} of {len(BOARDS)}")
    return ready


def _plan(
    lab: Lab, requests: Sequence[Request], boards: Sequence[BoardInfo], console: Console
) -> tuple[list[Planned], list[Refusal]]:
    planned, refusals = [], []
    with console.status("preparing models") as status:
        for request in requests:
            status.update(f"preparing {request.model} {request.quantization}")
            plan = sweep.plan(lab, request, boards)
            if isinstance(plan, Refusal):
                refusals.append(plan)
            elif plan is not None:
                planned.append(plan)
    return planned, refusals


def _tell(
    console: Console,
    views: list[JobView],
    refusals: list[Refusal],
    json_file: Path | None,
) -> None:
    def say(line: str = "") -> None:
        console.print(line, markup=False, soft_wrap=True)

    say(bench.EMULATED_NOTE)
    if refusals:
        say("\nRefused before queueing, with the sum:")
        for line in report.refusal_lines(refusals):
            say(f"  {line}")
    for name, text in report.samples_of_text(views).items():
        say(f"\n{name} wrote, after the prompt:")
        for line in text.splitlines():
            say(f"  | {line}")
    if views:
        say(f"\nThe results are in the archive: edgeprof results --sweep {views[0].sweep_id}")
    if json_file is not None:
        say(f"and in {json_file}")
