"""`edgeprof schedule add|list|show|pause|resume|run|remove`."""

from __future__ import annotations

import time
from typing import Annotated, Final

import typer

from edgeprof.cli import completion, exits, notify_options, output
from edgeprof.cli.command_style import App
from edgeprof.cli.render import schedules as shown
from edgeprof.client.humanize import counted
from edgeprof.client.lab import Lab
from edgeprof.client.notify import Wish

#: A scheduler that runs has dealt with what was due by then.
_OVERDUE_S: Final = 60.0

app = App(
    name="schedule",
    help="Run a sweep again and again, each night for example; the scheduler does it.\n\n"
    "Example: edgeprof schedule add night.toml --cron '0 2 * * *'",
    no_args_is_help=True,
)
Name = Annotated[
    str,
    typer.Argument(metavar="NAME", autocompletion=completion.schedules, help="A schedule's name."),
]


@app.command()
def add(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A sweep's file (TOML).")],
    cron: Annotated[
        str,
        typer.Option(
            metavar="'M H D MON DOW'",
            help="Minute, hour, day of month, month, day of week, as in a crontab:"
            " '0 2 * * *' is two o'clock each night.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call it. Default: as the file."),
    ] = None,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="e.g. Europe/Berlin. Default: the time zone of this machine."
        ),
    ] = None,
    notify: notify_options.Notify = None,
    notify_if: notify_options.NotifyIf = None,
    against: notify_options.Against = None,
) -> None:
    """Keep a sweep's file and its models in the lab, to be run at these times.

    What is kept is what they are now: to run another version, remove the schedule and add it again.

    --notify tells an address how each run ended, was skipped or missed. --against may name a run
    of this very schedule: schedule:nightly~1 is the run before.

    Example: edgeprof schedule add night.toml --cron '0 2 * * *' --name nightly
    """
    of_schedule = against is not None and against.startswith("schedule:")  # it may have no run yet
    wish = (Wish.of if of_schedule else notify_options.wish)(notify or (), notify_if or (), against)
    with Lab(hurried=True) as lab:
        added = lab.schedules.add(file, cron, name=name, time_zone=time_zone, wish=wish)
    for refused in added.refused:
        output.note(f"refused: {refused.error}")
    schedule = added.schedule
    output.note(
        f"schedule {schedule.name}: {counted(added.n_jobs, 'job')} a run,"
        f" next {shown.moment(schedule, added.next_s)} ({schedule.time_zone});"
        " `edgeprof scheduler` has to run then"
    )


@app.command("list")
def list_(
    wide: output.Wide = False, columns: output.Columns = None, json: output.Json = False
) -> None:
    """List the recurring sweeps: when they run next, how the last run went, what was missed.

    Example: edgeprof schedule list
    """
    with Lab(hurried=True) as lab:
        views = lab.schedules.all()
    if json:
        output.print_json([shown.as_json(view) for view in views])
    elif views:
        now_s = time.time()
        output.show_sheet(shown.sheet(views, now_s), wide=wide, columns=columns)
        for view in views:
            if view.next_s is not None and view.next_s < now_s - _OVERDUE_S:
                output.note(
                    f"{view.schedule.name} was due {shown.next_run(view)}:"
                    " does `edgeprof scheduler` run?"
                )
    else:
        output.note("no schedules: edgeprof schedule add FILE --cron '0 2 * * *'")


@app.command()
def show(name: Name, json: output.Json = False) -> None:
    """Show one schedule: its file, its models, and its last runs with their sweeps.

    Example: edgeprof schedule show nightly
    """
    with Lab(hurried=True) as lab:
        view = lab.schedules.get(name)
        notices = lab.store.notifications.notices(f"schedule:{name}")
    if json:
        output.print_json(shown.as_json(view))
        return
    output.data(shown.about(view))
    if view.runs:
        output.show_sheet(shown.runs_sheet(view))
    for notice in {notice.to: notice for notice in notices}.values():  # the last of each address
        output.note(notice.text)


@app.command()
def pause(name: Name) -> None:
    """Let a schedule have no more runs until it is resumed; a run that has begun goes on.

    Example: edgeprof schedule pause nightly
    """
    with Lab(hurried=True) as lab:
        paused = lab.schedules.pause(name)
    output.note(f"schedule {name} {'is' if paused else 'was already'} paused")


@app.command()
def resume(name: Name) -> None:
    """End a pause. What was due meanwhile is not run, and does not count as missed.

    Example: edgeprof schedule resume nightly
    """
    with Lab(hurried=True) as lab:
        resumed = lab.schedules.resume(name)
        view = lab.schedules.get(name)
    next_run = f"next {shown.next_run(view)}"
    output.note(f"schedule {name} {'runs again' if resumed else 'was not paused'}: {next_run}")


@app.command("run")
def run_now(name: Name) -> None:
    """Queue a run of a schedule now, beside the planned ones; prints its sweep's id.

    Example: edgeprof schedule run nightly
    """
    with Lab(hurried=True) as lab:
        run = lab.schedules.run(name)
    for reason in run.left_out:
        output.note(f"left out: {reason}")
    output.data(run.sweep_id)
    output.note(f"edgeprof sweep {run.sweep_id} shows its answer, once its jobs have run")
    if run.left_out:
        raise typer.Exit(exits.JOB_FAILED)


@app.command()
def remove(name: Name) -> None:
    """Remove a schedule and its list of runs; their jobs stay, and those that are queued go on.

    Example: edgeprof schedule remove nightly
    """
    with Lab(hurried=True) as lab:
        lab.schedules.remove(name)
    output.note(f"removed schedule {name}; the jobs of its runs stay")
