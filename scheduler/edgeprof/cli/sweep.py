"""The command `edgeprof sweep`: run a file's combinations, and tell which one to take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeprof.cli import exits, notify_options, output, quantities, waiting
from edgeprof.cli.render import sweep_plan_table, sweep_table
from edgeprof.cli.render.sweep_table import Answer
from edgeprof.cli.submit import refusal
from edgeprof.client import durations, resuming, sweep_plan
from edgeprof.client import sweep as sweeps
from edgeprof.client.choice import Limits
from edgeprof.client.lab import Lab
from edgeprof.client.notify import Wish
from edgeprof.client.sweep import Refused
from edgeprof.client.sweep_file import SweepFile
from edgeprof.client.sweep_rows import sweep_rows
from edgeprof.scheduler.archive import Archive, Query
from edgeprof.shared.errors import NotFound, UsageError
from edgeprof.shared.store.search import JobFilter
from edgeprof.shared.types.job import JobState
from edgeprof.shared.types.notification import SubjectKind
from edgeprof.shared.types.result import JobView

#: More jobs than a sweep has.
_ALL = 100_000


# Long because Typer reads the options from the signature.
def sweep(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A sweep's file (TOML), or the id of a sweep to look at again."
        ),
    ],
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show jobs, refusals and predicted time; queue nothing."),
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Measure all again, as a new sweep.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait and print the answer, or print ids.")
    ] = True,
    max_ppl_increase: Annotated[
        str | None,
        typer.Option(
            metavar="PERCENT",
            help="Take no row whose perplexity is more above the least. Default: 5%.",
        ),
    ] = None,
    max_ttft: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Take no row with a later first token, e.g. 200ms."),
    ] = None,
    max_ram: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Take no row with more RAM, e.g. 96K.")
    ] = None,
    notify: notify_options.Notify = None,
    notify_if: notify_options.NotifyIf = None,
    against: notify_options.Against = None,
    wide: output.Wide = False,
    columns: output.Columns = None,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    json: output.Json = False,
) -> None:
    """Run all combinations of a file, and tell the best: speed, perplexity, RAM, energy.

    The same file over the same models and firmware is the same sweep: what was measured is not
    measured again, so a sweep that was interrupted goes on.

    Example: edgeprof sweep night.toml --max-ppl-increase 2% --max-ram 96K
    """
    limits = _limits(max_ppl_increase, max_ttft, max_ram)
    wish = notify_options.wish(notify, notify_if, against)
    with Lab(hurried=True) as lab:
        refused: tuple[Refused, ...] = ()
        if file.endswith(".toml") or Path(file).is_file():
            sweep_id, views, refused = _run(lab, Path(file), dry_run, fresh, wait, wish, json=json)
        elif dry_run or fresh or wish.addresses:
            raise UsageError(f"{file} is no sweep's file", hint="it would be called NAME.toml")
        else:
            sweep_id, views = file, _views(lab, file)
            if not views:
                raise NotFound(
                    f"no sweep {file!r}, in the store or in the archive",
                    hint="edgeprof jobs lists jobs; edgeprof job ID names a job's sweep",
                )
        for notice in lab.store.notifications.notices(f"{SubjectKind.SWEEP}:{sweep_id}"):
            output.note(notice.text)
    answer = Answer.of(sweep_rows(views), limits)
    _show(sweep_id, answer, views, refused, as_json=json, as_csv=csv, wide=wide, columns=columns)
    asked = (max_ppl_increase, max_ttft, max_ram) != (None, None, None)
    unmet = asked and answer.recommended is None
    bad = refused or unmet or waiting.exit_code(views) != exits.OK
    raise typer.Exit(exits.JOB_FAILED if bad else exits.OK)


def _limits(ppl_increase: str | None, ttft: str | None, ram: str | None) -> Limits:
    given: dict[str, Any] = {}
    if ppl_increase is not None:
        given["ppl_increase"] = quantities.share("--max-ppl-increase", ppl_increase)
    if ttft is not None:
        given["ttft_s"] = quantities.seconds("--max-ttft", ttft)
    if ram is not None:
        given["ram_bytes"] = quantities.size_bytes("--max-ram", ram)
    return Limits(**given)


def _run(
    lab: Lab, path: Path, dry_run: bool, fresh: bool, wait: bool, wish: Wish, *, json: bool
) -> tuple[str, list[JobView], tuple[Refused, ...]]:
    """Queue what is missing of a file's sweep, and wait for all of it."""
    file = SweepFile.read(path)
    boards = lab.boards()
    plan = sweep_plan.plan(lab, file, boards)
    for sentence in resuming.away(file, boards):
        output.note(sentence)
    sweep_id = resuming.sweep_id(file, plan, boards, str(time.time_ns()) if fresh else "")
    known = {
        resuming.key_of_view(view): view
        for view in _views(lab, sweep_id)
        if view.state is JobState.SUCCEEDED or not view.state.terminal
    }
    keys = [resuming.key_of(made.spec) for _, made in plan.planned]
    plan.planned = [job for job, key in zip(plan.planned, keys, strict=True) if key not in known]
    measured = sum(view.state is JobState.SUCCEEDED for view in known.values())
    if dry_run:
        planned = [made for _, made in plan.planned]
        specs = [made.spec for made in planned]
        predicted = durations.sweep_s(planned, boards, _history(lab))
        if json:
            output.print_json(
                {
                    "sweep_id": sweep_id,
                    "jobs": sweep_plan_table.as_json(specs, predicted),
                    "refused": [refusal(each) for each in plan.refused],
                    "measured_before": measured,
                    "predicted_s": predicted.all_s,
                    "not_predicted": predicted.unknown,
                }
            )
        else:
            if specs:
                output.show_sheet(sweep_plan_table.sheet(specs, predicted))
            _tell_refused(plan.refused)
            output.note(sweep_plan_table.summary(specs, predicted, measured, len(plan.refused)))
        raise typer.Exit
    if not plan.planned and not known:
        raise plan.refused[0].error  # every combination was refused
    swept = sweeps.submit_plan(lab, plan, sweep_id)
    _tell_refused(swept.refused)
    for note in swept.notes:
        output.note(note)
    waiting_before = len(known) - measured
    output.note(
        f"sweep {sweep_id}: {len(swept.jobs)} job(s) queued, {measured} measured before,"
        f" {waiting_before} queued before, {len(swept.refused)} refused"
    )
    pending = [view.id for view in known.values() if not view.state.terminal]
    pending += [job.id for job in swept.jobs]
    notify_options.ask(lab, wish, notify_options.of_sweep(sweep_id), pending)
    if not wait:
        if json:
            output.print_json({"sweep_id": sweep_id, "jobs": pending})
        else:
            output.data("\n".join(pending))
        raise typer.Exit(exits.JOB_FAILED if swept.refused else exits.OK)
    ended = {resuming.key_of_view(view): view for view in waiting.wait(lab, pending).views}
    found = known | ended
    return sweep_id, [found[key] for key in keys if key in found], swept.refused


def _views(lab: Lab, sweep_id: str) -> list[JobView]:
    """Return the jobs of a sweep, in the store or the archive, oldest first."""
    with Archive.open(lab.settings) as archive:
        found = {view.id: view for view in archive.find(Query(sweep_id=sweep_id, limit=_ALL))}
    stored = lab.jobs(limit=_ALL, where=JobFilter(sweep_id=sweep_id))
    found |= {view.id: view for view in stored}
    return sorted(found.values(), key=lambda view: (view.created_s, view.id))


def _history(lab: Lab) -> durations.History:
    """Return the newest measured jobs of the store and the archive."""
    limit = durations.HISTORY
    with Archive.open(lab.settings) as archive:
        found = {
            view.id: view for view in archive.find(Query(state=JobState.SUCCEEDED, limit=limit))
        }
    found |= {view.id: view for view in lab.jobs(JobState.SUCCEEDED, limit)}
    return durations.History(found.values())


def _tell_refused(refused: Sequence[Refused]) -> None:
    for each in refused:
        output.note(f"refused: {each.error}")


def _show(
    sweep_id: str,
    answer: Answer,
    views: Sequence[JobView],
    refused: Sequence[Refused],
    *,
    as_json: bool,
    as_csv: bool,
    wide: bool,
    columns: str | None,
) -> None:
    without = [view for view in views if view.state is not JobState.SUCCEEDED]
    if as_json:
        best = answer.recommended
        output.print_json(
            {
                "sweep_id": sweep_id,
                "limits": sweep_table.limits_json(answer.limits),
                "recommended": best and best.job_id,
                "rows": [answer.as_json(row) for row in answer.rows],
                "refused": [refusal(each) for each in refused],
                "without_result": [
                    {"id": view.id, "state": str(view.state), "reason": view.reason}
                    for view in without
                ],
            }
        )
        return
    if as_csv:
        output.data(sweep_table.csv_text(answer))
    elif answer.rows:
        output.show_sheet(sweep_table.sheet(answer), wide=wide, columns=columns)
        for note in sweep_table.notes(answer):
            output.note(note)
    for view in without:
        output.note(
            f"{view.state}: {view.model.name} {view.model.made_as} on {view.target}"
            f" (job {view.id}): {view.reason}"
        )
