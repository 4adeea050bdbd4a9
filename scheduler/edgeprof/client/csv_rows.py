"""Rows as CSV: lists are joined by spaces, tags are JSON, what was not measured is empty."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from typing import Final

from edgeprof.client.llama_bench import FIELDS, BenchRow

_CRLF: Final = "\r\n"


def csv_text(rows: Sequence[BenchRow]) -> str:
    """Return CSV with a heading."""
    lines = [FIELDS, *(map(_csv_value, row.as_dict().values()) for row in rows)]
    return "\n".join(map(_csv_line, lines))


def _csv_line(values: Iterable[object]) -> str:
    """Return one line. A value with a carriage return is quoted only where lines end with one."""
    out = io.StringIO()
    csv.writer(out, lineterminator=_CRLF).writerow(values)
    return out.getvalue().removesuffix(_CRLF)


def _csv_value(value: object) -> object:
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return json.dumps(value) if isinstance(value, dict) else value
