"""A comparison as a table for people, and its rows in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from edgeprof.cli.render.fitted_table import Column, Sheet
from edgeprof.cli.render.model_names import ModelNames, Named
from edgeprof.client.comparable import Key
from edgeprof.client.comparison import Comparison, Row, Side, Verdict
from edgeprof.client.gate import Gates
from edgeprof.client.measures import Nature
from edgeprof.client.selection import Selected

_STYLE = {Verdict.BETTER: "green", Verdict.WORSE: "red", Verdict.UNKNOWN: "yellow"}
_COLUMNS = (
    Column("model"),
    Column("platform", leave=5),
    Column("measure"),
    Column("context", leave=1, right=True),
    Column("cache", leave=0),
    Column("old", leave=6, right=True),
    Column("new", leave=7, right=True),
    Column("ratio", leave=4, right=True),
    Column("change", right=True),
    Column("runs", leave=2, right=True),
    Column("boards", leave=3),
    Column("verdict"),
)


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison with the selections it is of, and the conditions it has to meet."""

    old: Selected
    new: Selected
    comparison: Comparison
    gates: Gates

    @property
    def failed(self) -> bool:
        """Whether a condition is broken."""
        return self.gates.fail(self.comparison)

    def shown(self) -> list[Row]:
        """Return the rows for people: without memory and quality that stayed the same."""
        return [
            row
            for row in self.comparison.rows
            if row.measure.nature is not Nature.EXACT
            or row.verdict is not Verdict.SAME
            or row.measure.name in self.gates.measures
        ]


def sheet(compared: Compared) -> Sheet:
    """Return the table."""
    rows = compared.shown()
    names = ModelNames.of(_named(row.key) for row in rows)
    table = Sheet(_COLUMNS)
    for row in rows:
        key = row.key
        table.add(
            f"{names.name(_named(key))} {key.made_as}",
            key.platform,
            test_of(row),
            str(key.n_ctx),
            key.kv_type.lower(),
            value_of(row, row.old),
            value_of(row, row.new),
            f"{row.ratio:.3f}",
            interval_of(row),
            f"{row.old.n_runs}+{row.new.n_runs}",
            _boards(row),
            Text(verdict_of(row), style=_STYLE.get(row.verdict, "")),
        )
    return table


def cells(compared: Compared) -> list[tuple[str, ...]]:
    """Return headings and rows as text."""
    table = sheet(compared)
    heading = tuple(column.heading for column in table.columns)
    return [heading, *(tuple(str(cell) for cell in row) for row in table.rows)]


def test_of(row: Row) -> str:
    """Return "decode tg32 @ d64": the measure, and the test as llama-bench names it."""
    key = row.key
    match row.measure.name:
        case "prefill" | "ttft":
            return f"{row.measure.name} pp{key.n_prompt}"
        case "decode" | "energy":
            return f"{row.measure.name} tg{key.n_gen} @ d{key.n_prompt}"
        case name:
            return name


def value_of(row: Row, side: Side) -> str:
    """Return the mean with its unit and the spread of its runs."""
    spread = "" if row.exact or side.run_spread is None else f" ± {side.run_spread:.1%}"
    number = f"{side.mean:.0f}" if row.measure.unit == "B" else f"{side.mean:.4g}"
    if 100 <= side.mean < 1e6 and row.measure.unit != "B":
        number = f"{side.mean:.2f}"
    return f"{number} {row.measure.unit}".rstrip() + spread


def interval_of(row: Row) -> str:
    """Return "+3.1 % (+2.4 to +3.8)"."""
    moved = f"{row.change.mean:+.1%}"
    if row.exact:
        return f"{row.change.mean:+.2%} exact"
    if row.change.low is None or row.change.high is None:
        return f"{moved} (no interval)"
    return f"{moved} ({100 * row.change.low:+.1f} to {100 * row.change.high:+.1f})"


def verdict_of(row: Row) -> str:
    """Return the verdict, and what would help where there is none."""
    text = str(row.verdict)
    if row.why:
        text += f": {row.why}"
    if row.needed is not None and row.needed > max(row.old.n_runs, row.new.n_runs):
        text += f" ({row.needed} runs would)"
    elif row.verdict is Verdict.UNKNOWN and not row.why:
        text += " (no number of runs would)"
    return text + (" !" if row.old.doubts or row.new.doubts else "")


def name_of(row: Row) -> str:
    """Return a row's name in one line."""
    return f"{key_text(row.key)} {test_of(row)}"


def key_text(key: Key) -> str:
    """Return what was measured, in one line."""
    return f"{key.model} {key.made_as} on {key.platform}"


def change_text(row: Row) -> str:
    """Return what happened to a row, in one line."""
    return (
        f"{value_of(row, row.old)} -> {value_of(row, row.new)},"
        f" {interval_of(row)}, {verdict_of(row)}"
    )


def title(compared: Compared) -> str:
    """Return the two sides in one line."""
    return f"old: {_side(compared.old)}; new: {_side(compared.new)}"


def notes(compared: Compared) -> Iterator[str]:
    """Yield what people have to know beside the table, a line each."""
    rows, comparison = compared.comparison.rows, compared.comparison
    both = {view.id for view in compared.old.views} & {view.id for view in compared.new.views}
    if both:
        yield f"{len(both)} job(s) are on both sides"
    hidden = len(rows) - len(compared.shown())
    if hidden:
        yield f"not shown: {hidden} row(s) of memory or quality, which are the same"
    for which, keys in (("old", comparison.only_old), ("new", comparison.only_new)):
        if keys:
            yield f"only on the {which} side: {_listed([key_text(key) for key in keys])}"
    doubts = dict.fromkeys(
        f"! {name_of(row)}, {which}: {each}"
        for row in rows
        for which, side in (("old", row.old), ("new", row.new))
        for each in side.doubts
    )
    yield from doubts
    for row in rows:
        for condition in compared.gates.broken(row):
            yield f"failed: {condition}: {name_of(row)}: {interval_of(row)}"
    if compared.gates.none_missing and comparison.only_old:
        yield "failed: missing: rows above are only on the old side"
    if any(compared.gates.unsure(row) for row in rows):
        yield "a row that can't be told breaks no condition: measure it with more repetitions (-r)"


def _side(selected: Selected) -> str:
    failed = f", {selected.without_result} more without a result" if selected.without_result else ""
    hashes = dict.fromkeys(
        view.result.identity.firmware_git_hash for view in selected.views if view.result
    )
    return f"{selected}, {len(selected.views)} job(s){failed}, firmware {_listed(list(hashes))}"


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:5])
    return shown + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def _boards(row: Row) -> str:
    """Return how many boards were compared, and how much they differ among themselves."""
    spreads = [side.board_spread for side in (row.old, row.new) if side.board_spread is not None]
    if row.old.boards == row.new.boards and len(row.old.boards) == 1:
        return row.old.boards[0]
    many = len(row.old.boards) if row.old.boards == row.new.boards else (
        f"{len(row.old.boards)}+{len(row.new.boards)}"
    )  # fmt: skip
    return f"{many}" + (f" ± {max(spreads):.1%}" if spreads else "")


def _named(key: Key) -> Named:
    return Named(key.model, key.made_as, key.model_sha256)
