"""Makes docs/reference/results.md: every field of every record, from types and `#:` comments."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from edgeprof.client.llama_bench import ALWAYS, BenchRow
from edgeprof.shared.types.job import SCHEMA_VERSION, Attempt
from edgeprof.shared.types.model import ModelRef
from edgeprof.shared.types.result import (
    CaseResult,
    Identity,
    InputCase,
    Inputs,
    InputScoring,
    JobResult,
    JobView,
    LoadResult,
    MemoryUse,
    OutputCheck,
    RegionUse,
    Samples,
    ScoreResult,
)

MADE = "<!-- Written by `make docs` from the code; edit there. -->\n"
_PAGE = Path(__file__).parents[1] / "docs" / "reference" / "results.md"


def results_page() -> str:
    """Return docs/reference/results.md: its hand-written part, then every field of every record."""
    words = _PAGE.read_text(encoding="utf-8").partition(_FIELDS_HEADING)[0]
    parts = [words + _FIELDS_HEADING, "", MADE]
    parts += [
        f"Schema version {SCHEMA_VERSION}. In older records, newer fields are `null` or absent.",
        "",
    ]
    for title, kind in _RECORDS.items():
        parts += [f"### {title}", "", "| field | type | meaning |", "|---|---|---|"]
        meanings = _meanings(kind)
        for name, annotation in _fields(kind):
            parts.append(f"| `{name}` | {annotation} | {meanings.get(name, '')} |")
        parts.append("")
    return "\n".join(parts)


_FIELDS_HEADING = "## All fields\n"
_RECORDS: dict[str, type] = {
    "Job: `job`, `jobs`, `submit` and `watch` with `--json`, `document` of the archive": JobView,
    "`model`": ModelRef,
    "`attempts`": Attempt,
    "`inputs`": Inputs,
    "`inputs.cases`": InputCase,
    "`inputs.cases.scoring`": InputScoring,
    "`result`": JobResult,
    "`result.identity`": Identity,
    "`result.load`": LoadResult,
    "`result.cases`": CaseResult,
    "`result.cases.output_check`": OutputCheck,
    "`result.cases.score`": ScoreResult,
    "`result.memory`": MemoryUse,
    "`result.regions`": RegionUse,
    "Samples": Samples,
    "Row: `results --format json|jsonl|csv`, `results --json`": BenchRow,
}


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    hints = get_type_hints(kind)
    if dataclasses.is_dataclass(kind):
        yield from (
            (field.name, _type_name(hints[field.name])) for field in dataclasses.fields(kind)
        )
        yield from ((name, f"always `{json.dumps(value)}`") for name, value in ALWAYS.items())
        return
    yield from ((name, _type_name(hints[name])) for name in kind.model_fields)  # type: ignore[attr-defined]


def _type_name(hint: Any) -> str:
    """Return JSON's name of a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return " or ".join(_type_name(each) for each in arguments)
    if origin is Literal:
        return " or ".join(f"`{json.dumps(each)}`" for each in arguments)
    if origin is tuple:
        return f"array of {_type_name(arguments[0])}"
    if origin is dict:
        return f"object of {_type_name(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return " or ".join(f"`{json.dumps(str(each))}`" for each in hint)
    return _JSON_NAMES.get(hint, getattr(hint, "__name__", str(hint)))


_JSON_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def _meanings(kind: type) -> dict[str, str]:
    """Return the `#:` comments above a class's fields."""
    found: dict[str, str] = {}
    comment: list[str] = []
    for line in inspect.getsource(kind).splitlines():
        text = line.strip()
        if text.startswith("#:"):
            comment.append(text.removeprefix("#:").strip())
            continue
        if (name := re.match(r"(\w+): ", text)) and comment:
            found[name[1]] = " ".join(comment).replace("|", "\\|")
        comment = []
    return found
