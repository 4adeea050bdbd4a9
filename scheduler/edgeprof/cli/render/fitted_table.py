"""A table that fits its terminal: columns are left out in a stated order, and no cell is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from edgeprof.shared.errors import UsageError

#: A column of running text is left out rather than squeezed below this.
_TEXT_MIN = 16
#: Wider than any table: what a table needs is measured in it.
_UNLIMITED = 10_000


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `leave` orders what a narrow terminal leaves out: lowest first, None never."""

    heading: str
    leave: int | None = None
    #: Numbers are aligned right, so that their digits stand below each other.
    right: bool = False
    #: Running text may take several lines. All else stays on one: half a number is a wrong number.
    text: bool = False


class Sheet:
    """Columns, and rows of cells for all of them."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.rows: list[tuple[str | Text, ...]] = []
        self._sections: set[int] = set()

    def add(self, *cells: str | Text) -> None:
        """Add a row."""
        assert len(cells) == len(self.columns)
        self.rows.append(cells)

    def add_section(self) -> None:
        """Draw a line below the rows so far."""
        self._sections.add(len(self.rows) - 1)

    def only(self, headings: Sequence[str]) -> Sheet:
        """Return a sheet of these columns, in this order. Raises UsageError for an unknown one."""
        known = {column.heading: index for index, column in enumerate(self.columns)}
        for heading in headings:
            if heading not in known:
                raise UsageError(
                    f"--columns: there is no column {heading!r}",
                    hint=f"columns: {', '.join(known)}",
                )
        taken = [known[heading] for heading in headings]
        chosen = Sheet([self.columns[index] for index in taken])
        chosen.rows = [tuple(row[index] for index in taken) for row in self.rows]
        chosen._sections = self._sections
        return chosen

    def fitted(self, console: Console) -> Sheet:
        """Return the sheet with as many of its columns as fit the console."""
        kept = list(self.columns)
        while (sheet := self.only([c.heading for c in kept])).least(console) > console.width:
            leavable = [column for column in kept if column.leave is not None]
            if not leavable:
                break
            kept.remove(min(leavable, key=lambda column: column.leave or 0))
        return sheet

    def table(self) -> Table:
        """Return the table for rich."""
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for index, column in enumerate(self.columns):
            cells = (column.heading, *(row[index] for row in self.rows))
            longest = max(cell_len(str(cell)) for cell in cells)
            table.add_column(
                column.heading,
                justify="right" if column.right else "left",
                # Where nothing more can be left out, a line is folded: nothing is ever cut.
                overflow="fold",
                no_wrap=not column.text,
                min_width=min(longest, _TEXT_MIN) if column.text else longest,
            )
        for index, row in enumerate(self.rows):
            table.add_row(*row, end_section=index in self._sections)
        return table

    def least(self, console: Console) -> int:
        """Return the fewest characters of a line in which the table is whole."""
        return Measurement.get(
            console, console.options.update(max_width=_UNLIMITED), self.table()
        ).minimum
