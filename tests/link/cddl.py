"""A reader of docs/link-protocol.cddl: as much of CDDL (RFC 8610) as that file uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).resolve().parents[2] / "docs" / "link-protocol.cddl"

_RULE = re.compile(r"^([a-z][a-z0-9-]*) = (.*)$")
_MEMBER = re.compile(r"^(\? )?(\d+) => (.+),$")


@dataclass(frozen=True)
class Member:
    """One field of a map."""

    name: str
    key: int
    optional: bool
    type: str


@dataclass(frozen=True)
class Document:
    """What the file defines, by name."""

    aliases: dict[str, str]
    maps: dict[str, tuple[Member, ...]]
    #: Arrays of fixed length: the type, and the names of the places.
    rows: dict[str, tuple[str, tuple[str, ...]]]


def read(text: str) -> Document:
    """Read the whole text; what is not of the used subset fails the test."""
    document = Document({}, {}, {})
    current: list[Member] | None = None
    name = ""
    for line in text.splitlines():
        body, _, comment = (part.strip() for part in line.partition(";"))
        if not body:
            continue
        if current is not None:
            if body == "}":
                document.maps[name] = tuple(current)
                current = None
                continue
            member = _MEMBER.match(body)
            assert member is not None, line
            assert comment, line
            optional, key, kind = member.groups()
            current.append(Member(comment, int(key), optional is not None, kind))
            continue
        rule = _RULE.match(body)
        assert rule is not None, line
        name, right = rule.groups()
        if right == "{":
            current = []
        elif right.startswith("["):
            document.rows[name] = (right, tuple(comment.split(", ")))
        else:
            document.aliases[name] = right
    assert current is None, name
    return document


def document() -> Document:
    """Read the committed file."""
    return read(PATH.read_text())
