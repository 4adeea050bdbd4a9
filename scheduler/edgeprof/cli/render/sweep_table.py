"""The answer of a sweep: its rows as a table, with the Pareto frontier and the row to take."""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.cli.render.llama_bench_table import EMULATED_NOTE
from edgeprof.client.choice import Limits, frontier, recommended
from edgeprof.client.humanize import BYTES, SECONDS, human_bytes, human_s, unit_of
from edgeprof.client.model_names import ModelNames, Named
from edgeprof.client.sweep_rows import SweepRow
from edgeprof.client.trust import UNSTABLE

#: What tells rows apart; such a column is left out first where it says the same in all rows, and
#: never where it does not.
_NAMING: Final = (
    Column("model"),
    Column("type"),
    Column("platform"),
    Column("test"),
    Column("context", right=True),
    Column("cache"),
)
#: What was measured: left out for want of room, lowest first.
_MEASURED: Final = (
    Column("t/s", right=True),
    Column("TTFT", leave=5, right=True),
    Column("perplexity", leave=7, right=True),
    Column("top-1 change", leave=4, right=True),
    Column("RAM", leave=6, right=True),
    Column("flash", leave=2, right=True),
    Column("mJ/token", leave=3, right=True),
    Column("board", leave=1),
)
_BEST: Final = Column("best")
#: Columns only where something was measured.
_IF_ANY: Final = ("perplexity", "top-1 change", "flash", "mJ/token")


@dataclass(frozen=True)
class Answer:
    """The rows of a sweep, and what they come to within limits."""

    rows: Sequence[SweepRow]
    limits: Limits
    frontier: frozenset[str]
    recommended: SweepRow | None

    @classmethod
    def of(cls, rows: Sequence[SweepRow], limits: Limits) -> Answer:
        """Compare rows; they are ordered by platform and test, the fastest first."""
        order: defaultdict[tuple[Any, ...], list[SweepRow]] = defaultdict(list)
        for row in rows:
            order[_compared(row)].append(row)
        sorted_rows = [
            row
            for group in order.values()
            for row in sorted(group, key=lambda row: -row.speed.mean)
        ]
        return cls(sorted_rows, limits, frozenset(frontier(rows)), recommended(rows, limits))

    def as_json(self, row: SweepRow) -> dict[str, Any]:
        """Return a row as plain values."""
        values = dataclasses.asdict(row)
        del values["test_key"], values["choice"]
        speed = row.speed
        return values | {
            "speed": {"mean": speed.mean, "sd": speed.sd, "samples": list(speed.samples)},
            "pareto": row.job_id in self.frontier,
            "recommended": row is self.recommended,
        }


def sheet(answer: Answer) -> Sheet:
    """Return the table for a terminal."""
    rows = answer.rows
    write = _cells(answer)
    cells = {heading: [each(row) for row in rows] for heading, each in write.items()}
    # A context that follows the prompt is no choice, though it differs from test to test.
    differs = {heading: len(set(values)) > 1 for heading, values in cells.items()} | {
        "context": len({row.choice[-1] for row in rows}) > 1
    }
    naming = [
        dataclasses.replace(column, leave=None if differs[column.heading] else 0)
        for column in _NAMING
    ]
    measured = [c for c in _MEASURED if c.heading not in _IF_ANY or any(cells[c.heading])]
    columns = [_BEST, *naming, *measured]
    shown = Sheet(columns)
    for number, row in enumerate(rows):
        if number and _compared(row) != _compared(rows[number - 1]):
            shown.add_section()
        shown.add(*(cells[column.heading][number] for column in columns))
    return shown


def _compared(row: SweepRow) -> tuple[Any, ...]:
    """Return what rows of a section have in common."""
    return row.platform, row.test_key


def _cells(answer: Answer) -> dict[str, Callable[[SweepRow], str]]:
    """Return how each column is written: one unit a column, so that its numbers compare."""
    rows = answer.rows
    names = ModelNames.of(map(_named, rows))
    ttft = unit_of(SECONDS, [row.ttft_s for row in rows])
    ram = unit_of(BYTES, [row.ram_bytes for row in rows])
    flash = unit_of(BYTES, [row.flash_bytes for row in rows])
    return {
        "best": lambda row: (
            "take" if row is answer.recommended
            else "*" if row.job_id in answer.frontier else ""
        ),
        "model": lambda row: names.name(_named(row)),
        "type": lambda row: row.made_as,
        "platform": lambda row: row.platform + (" (emu)" if row.emulated else ""),
        "board": lambda row: row.device_id,
        "test": lambda row: row.test,
        "context": lambda row: str(row.n_ctx),
        "cache": lambda row: row.kv_type,
        "t/s": _speed,
        "TTFT": lambda row: ttft(row.ttft_s),
        "perplexity": _perplexity,
        "top-1 change": lambda row: "" if row.top1_change is None else f"{row.top1_change:.1%}",
        "RAM": lambda row: "" if row.ram_bytes is None else ram(row.ram_bytes),
        "flash": lambda row: "" if row.flash_bytes is None else flash(row.flash_bytes),
        "mJ/token": lambda row: (
            "" if row.energy_per_token_mj is None else f"{row.energy_per_token_mj:.3g}"
        ),
    }  # fmt: skip


def notes(answer: Answer) -> list[str]:
    """Return the notes below the table: what was taken, and what the numbers are."""
    rows = answer.rows
    found = [_verdict(answer)]
    if any(row.job_id in answer.frontier for row in rows):
        found.append(
            "* on the Pareto frontier: of its platform and test, no other row is better in speed,"
            " perplexity, RAM or energy, and worse in none of them"
        )
    over = sorted({row.scored_over for row in rows if row.scored_over})
    if over:
        found.append(f"perplexity ± its standard error: over {'; over '.join(over)}")
    if any(row.top1_change is not None for row in rows):
        found.append(
            "top-1 change: share of positions whose likeliest token is another than that of the"
            " model as its file is, with an F32 cache"
        )
    if any(map(_unstable, rows)):
        found.append(
            f"! runs of one test differ by more than {UNSTABLE:.0%}: such a speed is no basis for a"
            " choice. Is the board's host busy? More repetitions help"
        )
    if any(row.emulated for row in rows):
        found.append(EMULATED_NOTE)
    return found


def csv_text(answer: Answer) -> str:
    """Return the rows as CSV, with the names of the JSON's fields."""
    out = io.StringIO()
    rows = [_flat(answer.as_json(row)) for row in answer.rows]
    names = list(rows[0]) if rows else []
    writer = csv.DictWriter(out, names, lineterminator="\r\n")
    if names:
        writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().removesuffix("\r\n")


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    speed = values.pop("speed")
    samples = " ".join(map(str, speed["samples"]))
    return values | {"speed": speed["mean"], "speed_sd": speed["sd"], "speed_samples": samples}


def _verdict(answer: Answer) -> str:
    limits = ", ".join(_limits(answer.limits, answer.rows))
    row = answer.recommended
    if row is None:
        return f"take: no row is within the limits ({limits})"
    what = f"{row.model} {row.made_as} on {row.platform}"
    if len({other.choice[-1] for other in answer.rows}) > 1:
        what += f", context {row.n_ctx}"
    if len({other.kv_type for other in answer.rows}) > 1:
        what += f", {row.kv_type} cache"
    within = f" within the limits ({limits})" if limits else ""
    several = len({other.test_key for other in answer.rows}) > 1
    return f"take: {what}, the fastest{within}" + (
        "; of its tests the slowest counts" if several else ""
    )


def _limits(limits: Limits, rows: Iterable[SweepRow]) -> Iterable[str]:
    if limits.ppl_increase is not None and any(row.perplexity is not None for row in rows):
        yield f"perplexity at most {limits.ppl_increase * 100:.3g} % above the least"
    if limits.ttft_s is not None:
        yield f"TTFT at most {human_s(limits.ttft_s)}"
    if limits.ram_bytes is not None:
        yield f"RAM at most {human_bytes(limits.ram_bytes)}"


def _speed(row: SweepRow) -> str:
    spread = f" ± {row.speed.sd:.2f}" if len(row.speed.samples) > 1 else ""
    return f"{row.speed.mean:.2f}{spread}" + (" !" if _unstable(row) else "")


def _unstable(row: SweepRow) -> bool:
    return row.speed.sd > UNSTABLE * row.speed.mean


def _perplexity(row: SweepRow) -> str:
    if row.perplexity is None:
        return ""
    error = "" if row.perplexity_stderr is None else f" ± {row.perplexity_stderr:.2f}"
    return f"{row.perplexity:.2f}{error}"


def _named(row: SweepRow) -> Named:
    return Named(row.model, row.made_as, row.model_sha256)


def limits_json(limits: Limits) -> dict[str, float | None]:
    """Return limits as plain values."""
    return dataclasses.asdict(limits)
