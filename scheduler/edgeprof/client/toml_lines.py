"""Finds the lines of a TOML file, which tomllib does not tell, for messages about its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([\w.-]+)\s*\]")
_KEY: Final = re.compile(r"""\s*(?:([\w-]+)|"([^"]*)"|'([^']*)')\s*[=.]""")


def line_of(text: str, path: Sequence[int | str], value: object = None) -> int | None:
    """Return the line of a key, or of its value where that can be found below it.

    path: ("model",), ("tags", "shelf"), or ("exclude", 0, "model"), with the number of the table.
    None where the file writes it in a way that this does not know.
    """
    names = [part for part in path if isinstance(part, str)]
    numbers = [part for part in path if isinstance(part, int)]
    lines = text.splitlines()
    found = _key(lines, names, numbers[0] if numbers else 0)
    if found is None and len(names) > 1:  # an inline table: {model = "x"}
        found = _key(lines, names[:1], 0)
    if found is None:
        return None
    for index in range(found, len(lines)) if value is not None else ():
        if index > found and (_KEY.match(lines[index]) or _HEADER.match(lines[index])):
            break
        text_of_values = lines[index] if index > found else lines[index].partition("=")[2]
        if str(value) in text_of_values:
            return index + 1
    return found + 1


def _key(lines: Sequence[str], names: Sequence[str], number: int) -> int | None:
    """Return the index of the line of a key, or of a table's header."""
    table, seen = "", 0
    for index, line in enumerate(lines):
        if header := _HEADER.match(line):
            seen = seen + 1 if header[2] == table and header[1] == "[[" else 0
            table = header[2]
            if [table] == list(names) and seen == number:
                return index
        elif (key := _KEY.match(line)) and names[-1] == (key[1] or key[2] or key[3]):
            inside = [table] if table else []
            if inside == list(names[:-1]) and (not table or seen == number):
                return index
    return None
