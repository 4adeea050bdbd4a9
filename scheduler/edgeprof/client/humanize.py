"""Numbers as text for people."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from edgeprof.shared.types.job import Basis, Expected

#: Units of a quantity by the size of one, smallest first.
BYTES: Final = {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3}
COUNTS: Final = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}
SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


@dataclass(frozen=True, slots=True)
class Unit:
    """Writes numbers of a column in one unit and with the same number of decimals."""

    name: str
    size: float
    decimals: int

    def number(self, value: float) -> str:
        """Return e.g. "946.31"."""
        return f"{value / self.size:.{self.decimals}f}"

    def __call__(self, value: float) -> str:
        """Return e.g. "946.31 KiB"."""
        return f"{self.number(value)} {self.name}".rstrip()


def unit_of(units: Mapping[str, float], values: Iterable[float | None]) -> Unit:
    """Return the unit for a column of these values: that in which the middle of them is above 1."""
    found = [value for value in values if value]
    middle = math.exp(sum(map(math.log, found)) / len(found)) if found else 0.0
    name = max(
        (name for name in units if units[name] <= middle),
        key=units.__getitem__,
        default=next(iter(units)),
    )
    size = units[name]
    largest = max(found, default=0.0) / size
    whole = all(float(value / size).is_integer() for value in found)
    return Unit(name, size, 0 if whole or largest >= 10_000 else 1 if largest >= 1000 else 2)


def human_bytes(n: float) -> str:
    """Return e.g. "946.31 KiB", in llama-bench's manner."""
    for unit in ("B", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} B" if unit == "B" else f"{n:.2f} {unit}"
        n /= 1024
    return f"{n:.2f} GiB"


def human_count(n: float) -> str:
    """Return e.g. "1.05 M"."""
    if n < 1000:
        return f"{n:.0f}"
    for unit in ("K", "M"):
        n /= 1000
        if n < 1000:
            return f"{n:.2f} {unit}"
    return f"{n / 1000:.2f} B"


def human_s(seconds: float) -> str:
    """Return a duration with three or four digits and its unit, e.g. "412 us", "38.1 ms"."""
    for unit, factor in (("us", 1e6), ("ms", 1e3), ("s", 1.0)):
        value = seconds * factor
        if value < 1000 or unit == "s":
            return f"{value:.3g} {unit}" if value < 100 else f"{value:.0f} {unit}"
    raise AssertionError


def human_duration(seconds: float) -> str:
    """Return e.g. "35 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return human_s(seconds) if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def human_expected(expected: Expected) -> str:
    """Return e.g. "about 12 s (predicted)"."""
    how = {Basis.HISTORY: "as before", Basis.PREDICTED: "predicted"}
    return f"about {human_duration(expected.attempt_s)} ({how[expected.basis]})"


def human_energy(mean_mj: float, samples_mj: Sequence[float]) -> str:
    """Return e.g. "4.21 ± 0.03 mJ"; without ± where there is one sample at most."""
    spread = f" ± {statistics.stdev(samples_mj):.2g}" if len(samples_mj) > 1 else ""
    return f"{mean_mj:.3g}{spread} mJ"


def ago(seconds: float) -> str:
    """Return e.g. "3 min ago"."""
    for limit, size, unit in ((90, 1, "s"), (5400, 60, "min"), (129600, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / size:.0f} {unit} ago"
    return f"{seconds / 86400:.0f} d ago"


def when(seconds: float) -> str:
    """Return a time since the epoch as date and time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def counted(count: int, thing: str) -> str:
    """Return e.g. "1 board" or "3 boards"."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
