"""Tags: names with values, as a table or as a list of "NAME=VALUE"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from edgeprof.shared.types.wire import Name, NoControl


def split_tag(text: str) -> tuple[str, str]:
    """Return name and value of "NAME=VALUE". Raises ValueError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"{text!r} is no tag NAME=VALUE")
    return name, value


def _as_table(value: Any) -> Any:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return value
    table: dict[str, str] = {}
    for each in value:
        name, text = split_tag(str(each))
        if table.setdefault(name, text) != text:
            raise ValueError(f"{name} is {table[name]!r} and {text!r}")
    return table


Tags = Annotated[
    dict[Name, Annotated[NoControl, Field(max_length=256)]], BeforeValidator(_as_table)
]


def written(tags: Mapping[str, str]) -> str:
    """Return tags for a person: psram=8MB, lab=berlin."""
    return ", ".join(f"{name}={value}" for name, value in sorted(tags.items()))
