"""The first words of a report: what was measured, which is best at what, and what to beware of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from edgeprof.client.humanize import counted, human_bytes
from edgeprof.client.trust import UNSTABLE
from edgeprof.scheduler.report.measured import Measured
from edgeprof.scheduler.report.table import speed_of


@dataclass(frozen=True, slots=True)
class Best:
    """The best of a platform at one thing, as a sentence would say it."""

    what: str
    #: Model and type.
    name: str
    value: str
    job_id: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A line, the best by platform, and warnings."""

    line: str
    best: list[tuple[str, list[Best]]]
    warnings: list[str]


def summary_of(rows: Sequence[Measured]) -> Summary:
    """Return the summary of these rows."""
    platforms = dict.fromkeys(row.platform for row in rows)
    best = [
        (platform, _best([row for row in rows if row.platform == platform]))
        for platform in platforms
    ]
    return Summary(_line(rows), best, [*_warnings(rows)])


def _line(rows: Sequence[Measured]) -> str:
    jobs = counted(len({row.view.id for row in rows}), "job")
    models = sorted({row.model for row in rows})
    named = ", ".join(models) if len(models) <= 3 else counted(len(models), "model")
    types = counted(len({row.type for row in rows}), "weight type")
    boards = counted(len({row.identity.device_id for row in rows}), "board")
    return f"{jobs}: {named} in {types} on {boards}."


def _best(rows: Sequence[Measured]) -> list[Best]:
    """Return the best at each thing that was measured of at least one row."""
    asked: list[tuple[str, Callable[[Measured], float | None], Callable[[Measured], str]]] = [
        ("fastest", lambda row: -row.decode.mean if row.decode else None, _speed),
        ("most accurate", lambda row: row.perplexity, _perplexity),
        (
            "least memory",
            lambda row: row.model_bytes,
            lambda row: human_bytes(row.model_bytes or 0),
        ),
        ("least energy", lambda row: row.energy_mj, lambda row: f"{row.energy_mj:.3g} mJ/token"),
    ]
    one_test = len({row.test for row in rows}) == 1
    if len({row.scored_over for row in rows if row.scored_over is not None}) > 1:
        asked = [each for each in asked if each[0] != "most accurate"]
    found = []
    for what, rank, says in asked:
        ranked = [(value, row) for row in rows if (value := rank(row)) is not None]
        if ranked:
            _, row = min(ranked, key=lambda pair: pair[0])
            name = f"{row.model} {row.type}" + ("" if one_test else f" {row.test}")
            name += f", firmware {row.version}" if row.version else ""
            found.append(Best(what, name, says(row), row.view.id))
    return found


def _speed(row: Measured) -> str:
    assert row.decode is not None
    mean, spread = speed_of(row.decode)
    return f"{mean} {spread} t/s" if spread.startswith("±") else f"{mean} t/s, {spread}"


def _perplexity(row: Measured) -> str:
    error = "" if row.perplexity_error is None else f" ± {row.perplexity_error:.2f}"
    return f"perplexity {row.perplexity:.2f}{error}"


def _warnings(rows: Sequence[Measured]) -> Iterable[str]:
    emulated = {row.identity.device_id for row in rows if row.identity.emulated}
    boards = {row.identity.device_id for row in rows}
    if emulated:
        which = (
            "All boards are" if emulated == boards
            else f"{len(emulated)} of {counted(len(boards), 'board')} {_are(len(emulated))}"
        )  # fmt: skip
        yield (
            f"{which} emulated, not silicon: marked (emulated), hollow in the plots. Emulated chips"
            " count instructions or cycles, so their runs do not differ; native boards measure the"
            " time of the computer that they run on."
        )
    if wobbly := [row for row in rows if row.unstable]:
        names = ", ".join(sorted({f"{row.model} {row.type} on {row.platform}" for row in wobbly}))
        yield (
            f"Runs of one test differ by more than {UNSTABLE:.0%}: {names}. Such a speed is no"
            " basis for a comparison."
        )
    by_time = sorted(rows, key=lambda row: row.view.finished_s or 0.0)
    for platform in sorted({row.platform for row in rows if row.version}):
        versions = list(dict.fromkeys(row.version for row in by_time if row.platform == platform))
        yield (
            f"Firmware differs on {platform}: edgeprof compare firmware:{versions[0]}"
            f" firmware:{versions[-1]} tells what it changed, row by row."
        )
    if len({row.test for row in rows}) > 1:
        yield "Tests differ in length, and a token takes longer the more came before it."
    if len({row.scored_over for row in rows if row.scored_over is not None}) > 1:
        yield (
            "Perplexities are of different texts, or more or less of one. Only those of the same"
            " text compare: the plots have those of which there are most."
        )
    if any(row.case.output_check is None for row in rows):
        yield "The output of some jobs was not checked: a wrong answer may be a fast one."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"
