"""Runs the demo from start to end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from edgeprof.cli import output
from edgeprof.cli.demo import report
from edgeprof.cli.demo.absent import absent
from edgeprof.cli.demo.boards import PLATFORMS, DemoPlatform, urls_of
from edgeprof.cli.demo.processes import DemoLab
from edgeprof.cli.render import llama_bench_table
from edgeprof.cli.render.follow import Follower
from edgeprof.cli.render.live import live
from edgeprof.client import sweep
from edgeprof.client.request import Request
from edgeprof.client.sweep import Refused
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.model import Quantization
from edgeprof.shared.types.result import JobView


def run_demo(
    settings: Settings,
    console: Console,
    platforms: Mapping[str, DemoPlatform],
    *,
    json_file: Path | None,
    n_prompt: int,
    n_gen: int,
) -> list[JobView]:
    """Run the demo: progress goes to `console`, the table to stdout. Returns the ended jobs."""
    missing = absent(platforms, settings)
    for name, reason in missing.items():
        console.print(f"left out: {name}: {reason}", soft_wrap=True)
    platforms = {name: each for name, each in platforms.items() if name not in missing}
    if not platforms:
        raise InfrastructureError("no board is left")
    urls = urls_of(platforms.values())
    console.print(f"starting Redis, scheduler and a host agent with {len(urls)} emulated boards …")
    with DemoLab(settings, urls) as demo:
        boards = _boards(demo, console)
        names = [model.name for model in demo.lab.models()]
        base = Request(model=names[0], n_prompt=n_prompt, n_gen=n_gen, source="edgeprof demo")
        with console.status("preparing models"):
            swept = sweep.submit(
                demo.lab,
                [
                    request
                    for name, each in platforms.items()
                    for request in each.share.requests(names, name, base)
                ],
                name="demo",
            )
        jobs = swept.jobs
        # Types that the model itself cannot have (block_size) are not a board's refusals.
        refusals = [refused for refused in swept.refused if refused.error.code != "block_size"]
        console.print(f"queued {len(jobs)} jobs; {len(refusals)} refused before queueing")
        follower = Follower.of(demo.lab, [job.id for job in jobs])
        with live(console, len(jobs), boards) as bars:
            for snapshot in follower.snapshots():
                demo.check()
                bars.show(snapshot)
        follower.raise_for_gone()
        views = sorted(follower.ended, key=_order)
        console.print("stopping what was started …")
    if json_file is not None:
        text = json.dumps(report.as_json(views, refusals, missing), indent=2)
        try:
            json_file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:  # an error of a full disk names no file
            raise InfrastructureError(f"cannot write {json_file}: {error.strerror}") from error
    rows = llama_bench_table.rows_of(views)
    output.show_sheet(llama_bench_table.sheet(rows))
    _tell(console, views, refusals, json_file)
    return views


def _order(view: JobView) -> tuple[str, int, int]:
    kind = list(Quantization).index(view.model.quantization)
    return view.model.name, list(PLATFORMS).index(view.target), kind


def _boards(demo: DemoLab, console: Console) -> list[BoardInfo]:
    ready: list[BoardInfo] = []
    with console.status("waiting for boards") as status:
        for ready in demo.wait_for_boards():
            status.update(f"waiting for boards: {len(ready)} of {len(demo.boards)}")
    return ready


def _tell(
    console: Console,
    views: list[JobView],
    refusals: list[Refused],
    json_file: Path | None,
) -> None:
    def say(line: str = "") -> None:
        console.print(line, soft_wrap=True)

    for note in llama_bench_table.notes(llama_bench_table.rows_of(views)):
        say(note)
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
