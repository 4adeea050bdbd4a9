"""Commands of other packages, by entry point: `edgeprof worker` lives in edgeprof.workers.

The scheduler must not import the workers (a laptop has no pyserial), so a command is looked up by
name in the group "edgeprof.commands" and imported only when it is called or asked for help.
"""

from __future__ import annotations

import inspect
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

from edgeprof.shared.errors import InfrastructureError

GROUP = "edgeprof.commands"


class Commands(TyperGroup):
    """The command group, with the entry points of GROUP as commands."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return all names; nothing is imported for it."""
        return [*super().list_commands(ctx), *(point.name for point in entry_points(group=GROUP))]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, importing it when it is another package's."""
        for point in entry_points(group=GROUP, name=cmd_name):
            return _load(point)
        return super().get_command(ctx, cmd_name)


def _load(point: EntryPoint) -> Any:
    try:
        function = point.load()
    except ImportError as error:
        return _explain_missing(point.name, error)
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    single.command(point.name)(function)
    return typer.main.get_command(single)


def _explain_missing(name: str, error: ImportError) -> Any:
    """Return a command that says which extra to install; help still lists it."""

    def missing() -> None:
        raise InfrastructureError(
            f"`edgeprof {name}` needs more than the base install: {error}",
            hint=f"pip install 'tiny-llm-edge-profiler[{name}]'",
        )

    missing.__doc__ = f"(not installed: pip install 'tiny-llm-edge-profiler[{name}]')"
    assert inspect.getdoc(missing)
    single = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    single.command(
        name, context_settings={"ignore_unknown_options": True, "allow_extra_args": True}
    )(missing)
    return typer.main.get_command(single)
