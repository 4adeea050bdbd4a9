"""Conditions on which a comparison fails: "decode<-3%", "ram>0%", "missing"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from edgeprof.client.comparison import Comparison, Row, Verdict
from edgeprof.client.measures import MEASURES
from edgeprof.shared.errors import UsageError

#: The condition that no row may be on the old side only: a job that fails has no speed to compare.
MISSING: Final = "missing"
_FORM: Final = re.compile(r"\s*([a-z]+)\s*([<>])\s*([+-]?\d+(?:\.\d+)?)\s*%\s*")
_MEASURES: Final = f"measures: {', '.join(MEASURES)}"


@dataclass(frozen=True, slots=True)
class Gate:
    """A limit on the change of one measure, as a share: -0.03 for -3 %."""

    text: str
    measure: str
    below: bool
    limit: float

    def broken_by(self, row: Row) -> bool:
        """Whether a row's change is beyond the limit, and is no noise."""
        if row.measure.name != self.measure or row.verdict is Verdict.UNKNOWN:
            return False
        moved = row.change.mean
        beyond = moved < self.limit if self.below else moved > self.limit
        return beyond and (row.exact or row.change.certain)

    def unsure_of(self, row: Row) -> bool:
        """Whether the limit is on a row whose change is not known."""
        return row.measure.name == self.measure and row.verdict is Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Gates:
    """All conditions of one call."""

    limits: tuple[Gate, ...] = ()
    none_missing: bool = False
    #: The option that they were given by.
    option: str = "--fail-if"

    @classmethod
    def parse(cls, texts: Sequence[str], option: str = "--fail-if") -> Gates:
        """Read conditions. Raises UsageError."""
        limits = tuple(_parse(text, option) for text in texts if text.strip() != MISSING)
        return cls(limits, none_missing=len(limits) < len(texts), option=option)

    @property
    def measures(self) -> set[str]:
        """The measures with a limit."""
        return {gate.measure for gate in self.limits}

    def check(self, comparison: Comparison) -> None:
        """Raise UsageError when a limit is on a measure that no row has: it would always pass."""
        has = {row.measure.name for row in comparison.rows}
        for gate in self.limits:
            if gate.measure not in has:
                raise UsageError(
                    f"{self.option} {gate.text!r}: no row has both an old and a new {gate.measure}",
                    hint=f"rows have {', '.join(sorted(has)) or 'nothing'}",
                )

    def broken(self, row: Row) -> list[str]:
        """Return the conditions that a row breaks."""
        return [gate.text for gate in self.limits if gate.broken_by(row)]

    def unsure(self, row: Row) -> bool:
        """Whether some limit is on a row whose change is not known."""
        return any(gate.unsure_of(row) for gate in self.limits)

    def fail(self, comparison: Comparison) -> bool:
        """Whether the comparison fails."""
        if self.none_missing and comparison.only_old:
            return True
        return any(self.broken(row) for row in comparison.rows)


def _parse(text: str, option: str) -> Gate:
    hint = f"e.g. {option} 'decode<-3%' or {option} missing; {_MEASURES}"
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{option} {text!r} is no condition", hint=hint)
    measure, sign, limit = found.groups()
    if measure not in MEASURES:
        close = get_close_matches(measure, MEASURES, n=1)
        raise UsageError(
            f"{option} {text!r}: there is no measure {measure!r}",
            hint=f"did you mean {close[0]}?" if close else hint,
        )
    return Gate(text.strip(), measure, sign == "<", float(limit) / 100)
