"""Explains what is wrong with boards.toml, by file, board and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from edgeprof.shared.errors import UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.spelling import suggestion
from edgeprof.shared.validation import first_error

_NAME: Final = "a name in quotes: letters, digits, '.', '_' and '-', at most 64"

#: For each key, what its value has to be.
WANTED: Final[Mapping[str, str]] = {
    "watch": 'a list of patterns, e.g. ["/dev/serial/by-id/*"]',
    "exclude": 'a list of patterns, e.g. ["*-FTDI_*"]',
    "board": "written [[board]], in double brackets, once for each board",
    "url": 'a port or a URL in quotes, e.g. "/dev/ttyACM0"',
    "uid": '1 to 16 bytes in lower-case hex digits in quotes, e.g. "2a0033000f51"',
    "id": _NAME,
    "platform": _NAME,
    "baud": "a whole number from 1 to 12000000",
    "flash": 'a list of words, e.g. ["st-flash", "write", "{slot}", "0x0800C000"]',
    "reset": '"dtr", "rts", { hub = "1-1.2", port = 3 } or { command = ["pyocd", "reset"] }',
    "flash_by": 'a probe or the folder of a drive in quotes, e.g. "probe:0669FF3"',
    "image": _NAME,
    "meter": 'a list of words, e.g. ["my-meter", "--port", "3"]',
    "tags": 'a list of names with values, e.g. ["psram=8MB", "lab=berlin"]',
}
_LONGEST_VALUE: Final = 80


def check_keys(where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise UsageError for the first unknown key."""
    known = tuple(known)
    for key in table:
        if key not in known:
            raise UsageError(
                f"{where}: unknown key {key!r}{suggestion(key, known)}",
                hint=f"known keys: {', '.join(known)}",
            )


def explain(where: str, data: Mapping[str, Any], error: ValidationError) -> UsageError:
    """Return an error that names the first mistake's board and key, and what is wanted there."""
    first = first_error(error)
    match first.path:
        case ("board", int(index), str(key), *_) if key in WANTED:
            return _wrong(f"{where}: board {index + 1}", key, data["board"][index][key])
        case ("board", int(index)) if first.kind == "value_error":
            return UsageError(
                f"{where}: board {index + 1}: {first.message}",
                hint="each board is a [[board]] with url or uid",
            )
        case (str(key), *_) if key in WANTED:
            return _wrong(where, key, data[key])
    return UsageError(f"{where}: {one_line(first.message, 200)}")


def _wrong(where: str, key: str, value: object) -> UsageError:
    shown = one_line(repr(value), _LONGEST_VALUE)
    return UsageError(f"{where}: {key} is {shown}", hint=f"{key} has to be {WANTED[key]}")
