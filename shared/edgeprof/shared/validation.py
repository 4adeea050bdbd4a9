"""The first mistake in a value that pydantic refused, for messages to people."""

from __future__ import annotations

from typing import NamedTuple

from pydantic_core import ValidationError


class FirstError(NamedTuple):
    """The first mistake. The value itself is not in it: it may be long, or secret."""

    #: Names of fields and indices of items, from the outside inwards; empty for the whole.
    path: tuple[int | str, ...]
    #: pydantic's name for the kind of mistake, e.g. "value_error" for one of our own validators.
    kind: str
    message: str

    def __str__(self) -> str:
        path = ".".join(map(str, self.path))
        return f"{path}: {self.message}" if path else self.message


def first_error(error: ValidationError) -> FirstError:
    """Return the first mistake of those that pydantic found."""
    first = error.errors(include_input=False, include_url=False)[0]
    return FirstError(first["loc"], first["type"], first["msg"].removeprefix("Value error, "))
