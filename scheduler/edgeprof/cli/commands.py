"""Lists every command with the first sentence of its help; imports a command when it is called.

Importing all commands takes most of a second, and `--help` and `--version` need none of them.
`edgeprof worker` is found by its entry point, because a laptop may lack the worker's packages.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Final

import typer
from typer.core import TyperGroup

from edgeprof.cli import quit_at_once
from edgeprof.cli.command_style import App
from edgeprof.shared.errors import InfrastructureError

#: Entry points under which other packages register commands.
GROUP: Final = "edgeprof.commands"

#: Section -> command -> (module and function, first sentence of its help). A test compares the
#: sentences with the commands' docstrings.
SECTIONS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Jobs": {
        "submit": (
            "submit:submit",
            "Queue jobs: every model and type on every platform and board named.",
        ),
        "sweep": (
            "sweep:sweep",
            "Run all combinations of a file, and tell the best: speed, perplexity, RAM, energy.",
        ),
        "schedule": (
            "schedule:app",
            "Run a sweep again and again, each night for example; the scheduler does it.",
        ),
        "watch": (
            "watch:watch",
            "Show live bars: of jobs until they end, or of the whole lab until Ctrl-C.",
        ),
        "jobs": ("jobs:jobs", "List the newest jobs to which all of these options apply."),
        "job": ("jobs:job", "Show all about one job: state, attempts, and the result."),
        "explain": (
            "explain:explain",
            "Say why a job is as fast as it is: where its time goes, and what would help.",
        ),
        "results": (
            "results:results",
            "Print measured jobs in the manner of llama-bench, newest first.",
        ),
        "report": (
            "report:report",
            "Write measured jobs as one HTML file, with plots, that needs no network.",
        ),
        "rerun": (
            "rerun:rerun",
            "Queue a job again, from its record alone; prints the new id.",
        ),
        "cite": ("cite:cite", "Print what a paper or an issue has to say about a job."),
        "export": ("transfer:export", "Write jobs into one file, for another lab."),
        "import": ("transfer:import_", "Add the jobs of another lab's file to the archive."),
        "compare": (
            "compare:compare",
            "Compare old with new, row by row: better, worse, same, or can't tell.",
        ),
        "history": ("history:history", "Plot how one measure of a model went over time."),
        "baseline": (
            "baseline:app",
            "Save jobs under a name, to compare others with; they are never deleted by age.",
        ),
        "cancel": ("cancel:cancel", "Cancel jobs."),
        "retry": (
            "jobs:retry",
            "Queue jobs that have ended once more, as new jobs; prints the new ids.",
        ),
    },
    "Boards and models": {
        "boards": (
            "boards:app",
            "List the boards of the lab, also offline ones; drain, reserve, test, upgrade, log.",
        ),
        "console": ("", "Open a board's serial port in this terminal, until Ctrl-]."),
        "flash": ("", "Put the firmware of this project onto a board that is plugged in."),
        "predict": (
            "predict:predict_speed",
            "Say how fast a model would be, without touching a board.",
        ),
        "models": (
            "models:app",
            "Models: list, inspect, quantize, import; and which boards one fits.",
        ),
    },
    "The lab": {
        "scheduler": (
            "scheduler:scheduler",
            "Run the custodian: requeue lost jobs, repeat lost doorbells, archive results.",
        ),
        "worker": ("", "Take jobs for the boards of this machine, until Ctrl-C."),
        "flower": ("flower:flower", "Show boards and their tasks in Flower, until Ctrl-C."),
        "stop": ("stop:stop", "Stop the embedded Redis that the first command started."),
        "demo": (
            "demo.command:demo",
            "Profile the bundled models on nine emulated boards, from nothing, and clean up.",
        ),
    },
}
COMMANDS: Final = {name: entry for section in SECTIONS.values() for name, entry in section.items()}


class Commands(TyperGroup):
    """The command group. Listing commands imports none of them."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's interface
        """Return all names, those of other packages last."""
        others = (point.name for point in entry_points(group=GROUP))
        return [*COMMANDS, *(name for name in others if name not in COMMANDS)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - click's interface
        """Return a command, importing it now."""
        for point in entry_points(group=GROUP, name=cmd_name):
            try:
                with _ended_by_ctrl_c():
                    found = point.load()
                return _command(cmd_name, found)
            except ImportError as error:
                return _explain_missing(cmd_name, error)
        where, _ = COMMANDS.get(cmd_name, ("", ""))
        if not where:
            return None
        module, _, name = where.partition(":")
        with _ended_by_ctrl_c():
            found = getattr(import_module(f"edgeprof.cli.{module}"), name)
        return _command(cmd_name, found)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of the help."""
        known = {title: dict(section) for title, section in SECTIONS.items()}
        others = [name for name in self.list_commands(ctx) if name not in COMMANDS]
        if others:
            known["Added by other packages"] = dict.fromkeys(others, ("", ""))
        width = max(map(len, self.list_commands(ctx)))
        for title, section in known.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), says) for name, (_, says) in section.items()]
                )


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """End the program at once on Ctrl-C while a command is imported, as main() does before."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is not signal.default_int_handler:  # the caller ignores it, as nohup does
        yield
        return
    signal.signal(signal.SIGINT, quit_at_once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _command(name: str, made: Callable[..., None] | typer.Typer) -> Any:
    if isinstance(made, typer.Typer):
        command: Any = typer.main.get_command(made)
        command.name = name
        return command
    single = App()
    single.command(name)(made)
    return typer.main.get_command(single)


def _explain_missing(name: str, error: ImportError) -> Any:
    """Return a command whose only action is to name the extra to install; help still lists it."""

    def missing() -> None:
        raise InfrastructureError(
            f"`edgeprof {name}` needs more than the base install: {error}",
            hint=f"pip install 'tiny-llm-edge-profiler[{name}]'",
        )

    missing.__doc__ = f"(not installed: pip install 'tiny-llm-edge-profiler[{name}]')"
    single = App()
    single.command(
        name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
    )(missing)
    return typer.main.get_command(single)
