"""Lines of a log, for people: time, level, message, and the job they are about."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgeprof.shared.sanitize import one_line
from edgeprof.shared.store.board_logs import LogLine

_STYLE: Final = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
#: Widths of time and level.
_TIME, _LEVEL = 8, 8


class LogPrinter:
    """Prints lines one after the other: on a terminal wrapped and in colour, on a pipe one each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._date = ""

    def print(self, line: LogLine) -> None:
        """Print one line, with its traceback; a new day is told once."""
        fields = line.fields
        day, _, clock = str(fields.get("timestamp", "")).partition("T")
        level = one_line(str(fields.get("level", "")), _LEVEL)
        said = one_line(str(fields.get("message", "")))
        if job := fields.get("job_id"):
            said += f"  [job {one_line(str(job), 64)}]"
        if self._console.is_terminal:
            self._for_people(day, clock, level, said)
        else:
            logger = one_line(str(fields.get("logger", "")), 200)
            whole = f"{_utc(day, clock)} {level:<{_LEVEL}} {logger}: {said}"
            self._console.print(Text(whole), soft_wrap=True)
        if trace := str(fields.get("error.stack_trace", "")):
            self._console.print(Text(trace, style="dim"), soft_wrap=True)

    def _for_people(self, day: str, clock: str, level: str, said: str) -> None:
        if day != self._date:
            self._date = day
            self._console.print(Text(f"{one_line(day, 10)} UTC", style="bold"))
        row = Table.grid(padding=(0, 1, 0, 0))
        row.add_column(width=_TIME)
        row.add_column(width=_LEVEL)
        row.add_column(overflow="fold")
        style = _STYLE.get(level, "")
        time = Text(one_line(clock[:_TIME]), style="dim")
        row.add_row(time, Text(level, style=style), Text(said, style=style))
        self._console.print(row)


def _utc(day: str, clock: str) -> str:
    """Return the time as ISO 8601 writes it, to the second."""
    try:
        when = datetime.fromisoformat(f"{day}T{clock}")
    except ValueError:
        return one_line(f"{day} {clock}", 40)
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
