"""The values of a GGUF's metadata, read forward from bytes that may be hostile."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.rules import MAX_ARRAY, MAX_ITEMS, MAX_STRING_BYTES

#: The hint for a damaged file.
COPY_AGAIN: Final = "fetch or copy the file again, as a binary file"

STRING, ARRAY, BOOL = 8, 9, 7
#: GGUF value type -> struct format.
SCALARS = {
    0: "B",
    1: "b",
    2: "<H",
    3: "<h",
    4: "<I",
    5: "<i",
    6: "<f",
    BOOL: "?",
    10: "<Q",
    11: "<q",
    12: "<d",
}

Scalar = int | float | bool | str


@dataclass(frozen=True, slots=True)
class Value:
    """A metadata value; `element_type` is set for arrays."""

    type: int
    value: Scalar | list[Scalar]
    element_type: int | None = None


class Cursor:
    """Reads forward; raises ModelError that names the place where the bytes end."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0
        self.items_left = MAX_ITEMS

    def take(self, n: int, what: str) -> memoryview:
        """Return the next n bytes."""
        if n > len(self.data) - self.at:
            raise ModelError(
                f"truncated: the file ends inside {what} (byte {self.at} of {len(self.data)})",
                code="truncated",
                hint=COPY_AGAIN,
            )
        self.at += n
        return self.data[self.at - n : self.at]

    def scalar(self, kind: int, what: str) -> Scalar:
        """Read a number or a boolean of a GGUF value type."""
        code = SCALARS[kind]
        (value,) = struct.unpack(code, self.take(struct.calcsize(code), what))
        return value  # type: ignore[no-any-return]

    def uint(self, code: str, what: str, limit: int) -> int:
        """Read an unsigned integer of a struct format, at most `limit`."""
        (value,) = struct.unpack(code, self.take(struct.calcsize(code), what))
        if value > limit:
            raise malformed(f"{what} is {value}, more than {limit}")
        return int(value)

    def string(self, what: str, limit: int) -> str:
        """Read a length and as many bytes."""
        n = self.uint("<Q", f"length of {what}", limit)
        # Token pieces of byte-level vocabularies need not be UTF-8; keep them apart, lossless.
        return bytes(self.take(n, what)).decode("utf-8", errors="surrogateescape")

    def ascii(self, what: str, limit: int) -> str:
        """Read a string, and refuse other characters."""
        text = self.string(what, limit)
        if not text.isascii():
            raise malformed(f"{what} is {text!r}, not ASCII")
        return text


def read_value(cursor: Cursor, what: str) -> Value:
    """Read a metadata value: its type, then a scalar, a string or an array."""
    kind = cursor.uint("<I", f"type of {what}", 12)
    if kind == STRING:
        return Value(kind, cursor.string(what, MAX_STRING_BYTES))
    if kind != ARRAY:
        return Value(kind, cursor.scalar(kind, what))
    element = cursor.uint("<I", f"element type of {what}", 12)
    count = cursor.uint("<Q", f"length of {what}", MAX_ARRAY)
    cursor.items_left -= count
    if cursor.items_left < 0:
        raise malformed(f"{what} makes more than {MAX_ITEMS} items of arrays")
    if element == ARRAY:
        raise malformed(f"{what} is an array of arrays")
    if element == STRING:
        strings: list[Scalar] = [cursor.string(what, MAX_STRING_BYTES) for _ in range(count)]
        return Value(kind, strings, element)
    size = struct.calcsize(SCALARS[element])
    raw = cursor.take(size * count, what)
    code = SCALARS[element]
    return Value(kind, [item[0] for item in struct.iter_unpack(code, raw)], element)


def malformed(problem: str) -> ModelError:
    """Return the error for a file whose bytes contradict each other or our limits."""
    return ModelError(f"malformed GGUF: {problem}", code="malformed")
