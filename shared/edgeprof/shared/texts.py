"""Text from outside, made fit to be shown: a terminal obeys what a table merely prints.

Redis is a place other programs can write to, and a model's vocabulary may hold anything. Replaced, not
refused: one bad line must not hide the record it is in.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator

LINE_LIMIT: Final = 2000
_INSTEAD: Final = "\N{REPLACEMENT CHARACTER}"


def one_line(text: str) -> str:
    """Return text without control characters (escape sequences, line ends), at most LINE_LIMIT long."""
    return "".join(c if c.isprintable() else _INSTEAD for c in text[:LINE_LIMIT])


def prose(text: str) -> str:
    """Return text whose only control characters are line ends and tabs."""
    return "".join(c if c.isprintable() or c in "\n\t" else _INSTEAD for c in text)


#: One line for people.
Line = Annotated[str, AfterValidator(one_line)]
#: Several lines for people.
Prose = Annotated[str, AfterValidator(prose)]
