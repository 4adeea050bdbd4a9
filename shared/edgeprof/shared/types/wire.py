"""Base classes and field types of everything that crosses a process boundary."""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, Field

MAX_FILE_BYTES: Final = 1 << 30
MAX_VOCABULARY: Final = 1 << 20
#: Positions that a model may have been trained for.
MAX_CONTEXT: Final = 1 << 20

#: Names become queue names, metric labels and file-name parts, so their alphabet is narrow.
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Name = Annotated[str, Field(pattern=NAME)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Token = Annotated[int, Field(ge=0, lt=MAX_VOCABULARY)]
#: Text for people to read, without control characters.
NoControl = Annotated[str, Field(pattern=r"^\P{Cc}*$")]


def is_name(text: str) -> bool:
    """Whether a text from outside may become a part of a file name."""
    return len(text) <= 64 and re.fullmatch(NAME.strip("^$"), text) is not None


class WireModel(BaseModel):
    """Base of everything that crosses a process boundary: immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Longer texts are not parsed.
    largest_bytes: ClassVar[int] = 8192

    @classmethod
    def read(cls, text: str) -> Self:
        """Parse a record from Redis. Raises ValueError, also beyond 200 nested levels."""
        if len(text) > cls.largest_bytes:
            raise ValueError(f"{len(text)} characters are more than a {cls.__name__} may have")
        found = cls.model_validate_json(text)
        if not _storable(found):
            raise ValueError("a number is not finite, or has more than 64 bits")
        return found


def _storable(value: object) -> bool:
    """Whether every number inside fits the arithmetic, times and database columns that use it."""
    match value:
        case int():
            return abs(value) < 2**63
        case float():
            return math.isfinite(value)
        case BaseModel():
            return all(map(_storable, value.__dict__.values()))
        case dict():
            return all(map(_storable, value.values()))
        case tuple() | list():
            return all(map(_storable, value))
    return True


class TolerantModel(WireModel):
    """Base of records that a newer version may have written with more fields: those are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
