"""A comparison for programs: Markdown, JSON, JUnit's XML, and annotations of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Any, Final
from xml.etree import ElementTree as ET

from edgeprof.cli.render.comparison import cells
from edgeprof.client.comparable import Key
from edgeprof.client.compared import (
    Compared,
    change_text,
    key_text,
    name_of,
    notes,
    test_of,
    title,
)
from edgeprof.client.comparison import Row, Side, Verdict
from edgeprof.shared.sanitize import harmless

#: Of the JSON document.
SCHEMA_VERSION: Final = 1


class Format(StrEnum):
    """How to print a comparison."""

    TABLE = "table"
    MD = "md"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


def text_of(compared: Compared, output: Format) -> str:
    """Return a comparison in any format but `table`, which depends on the terminal."""
    match output:
        case Format.JSON:
            return json.dumps(document(compared), indent=2)
        case Format.JUNIT:
            return _junit(compared)
        case Format.GITHUB:
            return "\n".join(_annotations(compared))
        case _:
            return _markdown(compared)


def document(compared: Compared) -> dict[str, Any]:
    """Return the JSON document."""
    comparison = compared.comparison
    return {
        "schema_version": SCHEMA_VERSION,
        "old": {"selection": str(compared.old), "jobs": [view.id for view in compared.old.views]},
        "new": {"selection": str(compared.new), "jobs": [view.id for view in compared.new.views]},
        "failed": compared.failed,
        "rows": [_row(row, compared) for row in comparison.rows],
        "only_old": [_key(key) for key in comparison.only_old],
        "only_new": [_key(key) for key in comparison.only_new],
    }


def _row(row: Row, compared: Compared) -> dict[str, Any]:
    return {
        **_key(row.key),
        "measure": row.measure.name,
        "unit": row.measure.unit,
        "old": _side(row.old),
        "new": _side(row.new),
        "ratio": row.ratio,
        "change": row.change.mean,
        "change_low": row.change.low,
        "change_high": row.change.high,
        "exact": row.exact,
        "verdict": str(row.verdict),
        "runs_needed": row.needed,
        "why": row.why,
        "breaks": compared.gates.broken(row),
    }


def _key(key: Key) -> dict[str, Any]:
    return asdict(key) | {"prompt": list(key.prompt) if key.prompt is not None else None}


def _side(side: Side) -> dict[str, Any]:
    return asdict(side) | {
        "boards": list(side.boards),
        "firmware": list(side.firmware),
        "doubts": [{"doubt": str(each.doubt), "says": each.says} for each in side.doubts],
    }


def _markdown(compared: Compared) -> str:
    heading, *rows = cells(compared)
    lines = [title(compared), "", _line(heading), "|" + " --- |" * len(heading)]
    lines += map(_line, rows)
    for note in notes(compared):
        lines += ["", note]
    return "\n".join(lines)


def _line(texts: tuple[str, ...]) -> str:
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"


def _junit(compared: Compared) -> str:
    """Return a test suite: each row a test, which fails where it breaks a condition."""
    rows = compared.comparison.rows
    missing = compared.comparison.only_old if compared.gates.none_missing else ()
    broken = [compared.gates.broken(row) for row in rows]
    unknown = [row.verdict is Verdict.UNKNOWN for row in rows]
    suite = ET.Element(
        "testsuite",
        name="edgeprof compare",
        tests=str(len(rows) + len(missing)),
        failures=str(sum(map(bool, broken)) + len(missing)),
        skipped=str(sum(unknown)),
        errors="0",
    )
    for row, breaks, cannot_tell in zip(rows, broken, unknown, strict=True):
        case = _case(suite, key_text(row.key), test_of(row))
        if breaks:
            ET.SubElement(case, "failure", message=f"{', '.join(breaks)}: {change_text(row)}")
        elif cannot_tell:
            ET.SubElement(case, "skipped", message=change_text(row))
        ET.SubElement(case, "system-out").text = change_text(row)
    for key in missing:
        case = _case(suite, key_text(key), "missing")
        ET.SubElement(case, "failure", message="only on the old side")
    ET.indent(suite)
    return harmless(ET.tostring(suite, encoding="unicode", xml_declaration=True))


def _case(suite: ET.Element, kind: str, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname=kind, name=name)


def _annotations(compared: Compared) -> Iterator[str]:
    """Yield workflow commands: errors break a condition, warnings are worse or unknown rows."""
    for row in compared.comparison.rows:
        if breaks := compared.gates.broken(row):
            yield _command("error", name_of(row), f"{', '.join(breaks)}: {change_text(row)}")
        elif row.verdict is Verdict.WORSE or compared.gates.unsure(row):
            yield _command("warning", name_of(row), change_text(row))
    for key in compared.comparison.only_old:
        kind = "error" if compared.gates.none_missing else "warning"
        yield _command(kind, key_text(key), "only on the old side")
    counts = [
        f"{sum(row.verdict is verdict for row in compared.comparison.rows)} {verdict}"
        for verdict in Verdict
    ]
    yield _command("notice", "edgeprof compare", f"{', '.join(counts)}. {title(compared)}")


def _command(kind: str, name: str, text: str) -> str:
    return f"::{kind} title={_escaped(name, ':,')}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    """Escape as GitHub's toolkit does, so that no text of a job becomes a command."""
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
