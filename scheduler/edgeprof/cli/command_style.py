"""What every command has in common: no option counts twice, and no line of its help is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from edgeprof.shared.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


class Command(TyperCommand):
    """A command that refuses an option with one value when it is given twice.

    Click takes the last one in silence, and a user who named two prompts got one of them measured.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse as Click does, after a look at what was given."""
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in given:
            if isinstance(option, TyperOption) and given.count(option) > 1 and _counts_once(option):
                raise UsageError(
                    f"{'/'.join(option.opts)} takes one value, and was given {given.count(option)}",
                    hint=f"edgeprof {ctx.info_name} --help says which options are repeatable",
                )
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # pydantic's words
            raise
        return rest

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options; Typer names the Python type of an argument as well."""
        records: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if isinstance(parameter, TyperOption):
                records["Options"].append(record)
            else:
                records["Arguments"].append((parameter.metavar or record[0], record[1]))
        for title, rows in records.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _counts_once(option: TyperOption) -> bool:
    """Whether an option given twice contradicts itself; a flag only says the same again."""
    plain_flag = option.is_flag and not option.secondary_opts
    return not (option.multiple or option.count or plain_flag)


class Group(TyperGroup):
    """A group of commands whose help shows the first sentence of each, whole."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            if command is not None and not command.hidden:
                rows.append((name, first_sentence(command.help or "")))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class App(typer.Typer):
    """A group or a single command in the house style."""

    def __init__(self, **options: Any) -> None:
        """Take Typer's options; those that are the same everywhere are set."""
        super().__init__(**(_STYLE | options))

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Register a function as a command."""
        return super().command(name, cls=Command, **options)


_STYLE: Final[dict[str, Any]] = {
    "cls": Group,
    "add_completion": False,  # of the whole program, not of a part
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
}


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text, on one line."""
    paragraph = " ".join(text.split("\n\n", maxsplit=1)[0].split())
    head, stop, _ = paragraph.partition(". ")
    return head + "." if stop else paragraph
