"""A comparison in words: what tables, pages and messages say of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.comparable import Key
from edgeprof.client.comparison import Comparison, Row, Side, Verdict
from edgeprof.client.gate import Gates
from edgeprof.client.measures import Nature
from edgeprof.client.model_names import Named
from edgeprof.client.selection import Selected
from edgeprof.shared.errors import UsageError


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
    return f"old: {side_text(compared.old)}; new: {side_text(compared.new)}"


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


def side_text(selected: Selected) -> str:
    """Return what one side is: its word, its jobs and their firmware."""
    failed = f", {selected.without_result} more without a result" if selected.without_result else ""
    hashes = dict.fromkeys(
        view.result.identity.firmware_git_hash for view in selected.views if view.result
    )
    return f"{selected}, {len(selected.views)} job(s){failed}, firmware {_listed(list(hashes))}"


def _listed(items: Sequence[str]) -> str:
    shown = ", ".join(items[:5])
    return shown + (f" and {len(items) - 5} more" if len(items) > 5 else "")


def boards_of(row: Row) -> str:
    """Return how many boards were compared, and how much they differ among themselves."""
    spreads = [side.board_spread for side in (row.old, row.new) if side.board_spread is not None]
    if row.old.boards == row.new.boards and len(row.old.boards) == 1:
        return row.old.boards[0]
    many = len(row.old.boards) if row.old.boards == row.new.boards else (
        f"{len(row.old.boards)}+{len(row.new.boards)}"
    )  # fmt: skip
    return f"{many}" + (f" ± {max(spreads):.1%}" if spreads else "")


def named_of(key: Key) -> Named:
    """Return the model of a row, to be named in a table."""
    return Named(key.model, key.made_as, key.model_sha256)


def nothing_in_common(old: Selected, new: Selected) -> UsageError:
    """Return the error of two sides without a row in common: what each of them has."""
    return UsageError(
        f"nothing in common: {_has(old)}, {_has(new)}",
        hint="a row is compared with one of the same model file, platform, prompt, counts, context"
        " and cache",
    )


def _has(side: Selected) -> str:
    """Return what a side has, as far as one line takes it."""
    has = dict.fromkeys(
        f"{view.model.name} {view.model.made_as} ({view.model.sha256[:8]}) on"
        f" {view.result.identity.platform}, {case.n_prompt}+{case.n_gen} tokens,"
        f" context {view.result.load.n_ctx}, cache {view.result.load.kv_type}"
        for view in side.views
        if view.result
        for case in view.result.cases
    )
    return f"{side} has {'; '.join(list(has)[:3])}{' and more' if len(has) > 3 else ''}"


def sentence_of(row: Row, against: str) -> str:
    """Return "decode of shakespeare-240k Q8_0 on stm32f405 is 4.1 % slower than baseline main"."""
    less, more = _CHANGED.get(row.measure.name, ("lower", "higher"))
    moved = row.change.mean
    how = f"{abs(moved):.1%}".replace("%", " %")
    if how == "0.0 %":
        return f"{row.measure.name} of {key_text(row.key)} is the same as in {against}"
    return (
        f"{row.measure.name} of {key_text(row.key)} is {how} {more if moved > 0 else less}"
        f" than {against}"
    )


#: What a measure is called that fell, and that rose; of all others: lower, higher.
_CHANGED: Final = {
    "prefill": ("slower", "faster"),
    "decode": ("slower", "faster"),
    "ttft": ("shorter", "longer"),
}
