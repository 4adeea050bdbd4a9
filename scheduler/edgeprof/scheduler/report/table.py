"""The table of a report: a row a test case, a column a quantity, each with its spread.

A column in which nothing was measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.client.humanize import BYTES, SECONDS, Unit, unit_of
from edgeprof.scheduler.report.measured import Measured
from edgeprof.shared.types.result import Samples


@dataclass(frozen=True, slots=True)
class Cell:
    """What a cell shows: a value, its spread in smaller type, and by what it is sorted."""

    text: str
    spread: str = ""
    sort: float | str | None = None


@dataclass(frozen=True, slots=True)
class Heading:
    """Of a column. `says` explains it on hovering."""

    text: str
    says: str
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """Headings, and for each row its job, its model and its cells."""

    headings: list[Heading]
    rows: list[tuple[Measured, list[Cell]]]


#: Returns the cell of a row, or None where the quantity was not measured.
_CellOf = Callable[[Measured], Cell | None]


def table_of(rows: Sequence[Measured]) -> Table:
    """Return the table of these rows."""
    columns = [
        (heading, cells)
        for heading, cell_of in _columns(rows)
        if any(cells := [cell_of(row) for row in rows])
    ]
    return Table(
        [heading for heading, _ in columns],
        [
            (row, [cells[index] or Cell("") for _, cells in columns])
            for index, row in enumerate(rows)
        ],
    )


def _columns(rows: Sequence[Measured]) -> list[tuple[Heading, _CellOf]]:
    several_caches = len({row.result.load.kv_type for row in rows}) > 1
    ttft = unit_of(SECONDS, [row.case.ttft_s.mean for row in rows])
    step = unit_of(SECONDS, [row.case.inter_token_p50_s for row in rows])
    return [
        (
            Heading("platform", "Kind of board, and whether it is emulated", is_number=False),
            lambda row: _words(row.identity.platform + (" (emu)" if row.identity.emulated else "")),
        ),
        (
            Heading("board", "The very board", is_number=False),
            lambda row: _words(row.identity.device_id),
        ),
        (
            Heading("test", "ppN: N prompt tokens; tgN: N generated tokens", is_number=False),
            lambda row: _words(row.test),
        ),
        (
            Heading("firmware", "First digits of its git hash", is_number=False),
            lambda row: _words(row.version) if row.version else None,
        ),
        (
            Heading("cache", "Type of the KV cache", is_number=False),
            lambda row: _words(row.result.load.kv_type) if several_caches else None,
        ),
        (
            Heading("decode t/s", "Tokens a second while text is generated; more is better"),
            lambda row: _speed(row.decode),
        ),
        (
            Heading("prefill t/s", "Prompt tokens a second; more is better"),
            lambda row: _speed(row.prefill),
        ),
        (
            Heading(f"TTFT {_name(ttft)}", "Time to the first token; less is better"),
            lambda row: _samples(row.case.ttft_s, ttft),
        ),
        (
            Heading(f"ITL p50/p95 {_name(step)}", "Time between tokens: half take less, 95 % do"),
            lambda row: _latency(row, step),
        ),
        (
            Heading("perplexity", "Of a text that training never saw; less is better"),
            _perplexity,
        ),
        (
            Heading("other top-1", "Share of tokens at which the unquantized model says another"),
            _changed,
        ),
        (
            Heading("model KiB", "Weights, KV cache and activations, wherever they lie"),
            lambda row: _kib(row.model_bytes),
        ),
        (
            Heading("RAM KiB", "RAM in use when it was fullest, with the stack"),
            lambda row: _kib(row.ram_bytes),
        ),
        (
            Heading("flash KiB", "Flash in use, with the firmware"),
            lambda row: _kib(row.flash_bytes),
        ),
        (
            Heading("mJ/token", "Energy a generated token, by the board's meter"),
            _energy,
        ),
        (
            Heading("check", "Tokens equal to the host's own arithmetic, of all"),
            _check,
        ),
    ]


def _words(text: str) -> Cell:
    return Cell(text, sort=text)


def number(value: float) -> str:
    """Return a number with three digits at least: "28766", "184.2", "41.73", "0.0751"."""
    return f"{value:.3g}" if 0 < value < 1 else f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    return 0 if value >= 1000 else 1 if value >= 100 else 2


def speed_of(speed: Samples) -> tuple[str, str]:
    """Return mean and sample deviation with as many decimals; of one run there is no deviation."""
    decimals = _decimals(speed.mean)
    spread = "1 run" if len(speed.samples) < 2 else f"± {speed.sd:.{decimals}f}"
    return f"{speed.mean:.{decimals}f}", spread


def _speed(speed: Samples | None) -> Cell | None:
    return None if speed is None else Cell(*speed_of(speed), speed.mean)


def _samples(samples: Samples, unit: Unit) -> Cell:
    mean = samples.mean / unit.size
    spread = "1 run" if len(samples.samples) < 2 else f"± {unit.number(samples.sd)}"
    return Cell(unit.number(samples.mean), spread, mean)


def _latency(row: Measured, unit: Unit) -> Cell | None:
    p50, p95 = row.case.inter_token_p50_s, row.case.inter_token_p95_s
    if p50 is None or p95 is None:
        return None
    return Cell(unit.number(p50), f"/ {unit.number(p95)}", p50)


def _perplexity(row: Measured) -> Cell | None:
    if row.perplexity is None:
        return None
    error = "" if row.perplexity_error is None else f"± {row.perplexity_error:.2f}"
    return Cell(f"{row.perplexity:.2f}", error, row.perplexity)


def _changed(row: Measured) -> Cell | None:
    score = row.score
    share = score.quantization_error_rate if score else None
    if score is None or share is None:
        return None
    error = (share * (1 - share) / score.n_tokens) ** 0.5
    return Cell(f"{share:.1%}", f"± {error:.1%}", share)


def _kib(size: int | None) -> Cell | None:
    return None if size is None else Cell(f"{size / _KIB:.1f}", sort=size)


def _energy(row: Measured) -> Cell | None:
    if row.energy_mj is None:
        return None
    spread = "mean" if row.energy_sd_mj is None else f"± {number(row.energy_sd_mj)}"
    return Cell(number(row.energy_mj), spread, row.energy_mj)


def _check(row: Measured) -> Cell:
    check = row.case.output_check
    if check is None:
        return Cell("not checked", sort=-1)
    return Cell(f"{check.matched}/{check.of}", sort=check.matched / max(check.of, 1))


def _name(unit: Unit) -> str:
    return unit.name.replace("us", "µs")


_KIB: Final = BYTES["KiB"]
