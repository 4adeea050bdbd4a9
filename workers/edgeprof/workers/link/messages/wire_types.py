"""What a value of a message may be: its type and its limits.

Each wire type reads a decoded CBOR item into what a message class holds, and writes it back. A
value of another type, or beyond a limit, is a LinkFault that names its place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from edgeprof.shared.errors import LinkFault


def malformed(where: str, problem: str) -> LinkFault:
    """Name the message and field of a value that the protocol does not allow."""
    return LinkFault(f"malformed link message: {where} {problem}", code="bad_reply")


class WireType(ABC):
    """The rules for one value."""

    @abstractmethod
    def read(self, item: object, where: str) -> object:
        """Check a CBOR item and return it as its message holds it. Raises LinkFault."""

    def write(self, value: object, where: str) -> object:
        """Check a message's value and return it as a CBOR item. Raises LinkFault."""
        return self.read(value, where)


@dataclass(frozen=True)
class Uint(WireType):
    """An unsigned integer."""

    size_bytes: int

    def read(self, item: object, where: str) -> int:
        """Return an integer that fits the size."""
        if not isinstance(item, int) or isinstance(item, bool):
            raise malformed(where, "is no integer")
        if not 0 <= item < 1 << 8 * self.size_bytes:
            raise malformed(where, f"is out of range: {item}")
        return item


@dataclass(frozen=True)
class Signed(WireType):
    """An integer of either sign, as far as CBOR's own integers go."""

    def read(self, item: object, where: str) -> int:
        """Return an integer of at most 64 bits and a sign."""
        if not isinstance(item, int) or isinstance(item, bool):
            raise malformed(where, "is no integer")
        if not -(1 << 64) <= item < 1 << 64:
            raise malformed(where, "is out of range")
        return item


@dataclass(frozen=True)
class Text(WireType):
    """Text for one line of a log or a label: printable characters only."""

    most_bytes: int

    def read(self, item: object, where: str) -> str:
        """Return text that is short and printable."""
        if not isinstance(item, str) or not item.isprintable():
            raise malformed(where, "is no printable text")
        if len(item.encode()) > self.most_bytes:
            raise malformed(where, f"is longer than {self.most_bytes} bytes")
        return item


@dataclass(frozen=True)
class Blob(WireType):
    """A byte string; without limits it may fill a frame."""

    least_bytes: int = 0
    most_bytes: int | None = None

    def read(self, item: object, where: str) -> bytes:
        """Return bytes of an allowed length."""
        if not isinstance(item, bytes):
            raise malformed(where, "is no byte string")
        too_long = self.most_bytes is not None and len(item) > self.most_bytes
        if len(item) < self.least_bytes or too_long:
            raise malformed(where, f"has a length that is not allowed: {len(item)} bytes")
        return item


@dataclass(frozen=True)
class Flag(WireType):
    """True or false."""

    def read(self, item: object, where: str) -> bool:
        """Return the truth value."""
        if not isinstance(item, bool):
            raise malformed(where, "is neither true nor false")
        return item


@dataclass(frozen=True)
class Float32(WireType):
    """A floating-point number, which may be infinite or no number: its reader decides."""

    def read(self, item: object, where: str) -> float:
        """Return the number."""
        if not isinstance(item, float):
            raise malformed(where, "is no floating-point number")
        return item


@dataclass(frozen=True)
class Either(WireType):
    """A value of one of several types; `None` among them allows null."""

    options: tuple[WireType | None, ...]

    def read(self, item: object, where: str) -> object:
        """Return the item as the first type that it fits."""
        return self._first(item, where, lambda option: option.read(item, where))

    def write(self, value: object, where: str) -> object:
        """Return the value as the first type that it fits."""
        return self._first(value, where, lambda option: option.write(value, where))

    def _first(self, value: object, where: str, use: Callable[[WireType], object]) -> object:
        if value is None and None in self.options:
            return None
        fault = malformed(where, "is null")
        for option in self.options:
            if option is not None:
                try:
                    return use(option)
                except LinkFault as refused:
                    fault = refused
        raise fault


@dataclass(frozen=True)
class Items(WireType):
    """An array of values of one type; without a limit it may fill a frame."""

    item: WireType
    most: int | None = None

    def read(self, item: object, where: str) -> tuple[object, ...]:
        """Return the items as a tuple."""
        if not isinstance(item, list):
            raise malformed(where, "is no array")
        self._check_length(len(item), where)
        return tuple(self.item.read(each, where) for each in item)

    def write(self, value: object, where: str) -> list[object]:
        """Return the tuple's items as a list."""
        if not isinstance(value, tuple):
            raise malformed(where, "is no tuple")
        self._check_length(len(value), where)
        return [self.item.write(each, where) for each in value]

    def _check_length(self, length: int, where: str) -> None:
        if self.most is not None and length > self.most:
            raise malformed(where, f"has too many entries: {length}")


@dataclass(frozen=True)
class Row(WireType):
    """An array of a fixed length whose places have names: a NamedTuple."""

    make: Callable[..., object]
    name: str
    places: tuple[tuple[str, WireType], ...]

    def read(self, item: object, where: str) -> object:
        """Return the NamedTuple."""
        if not isinstance(item, list) or len(item) != len(self.places):
            raise malformed(where, f"is no array of {len(self.places)} items")
        pairs = zip(self.places, item, strict=True)
        return self.make(*(kind.read(each, f"{where}.{name}") for (name, kind), each in pairs))

    def write(self, value: object, where: str) -> list[object]:
        """Return the NamedTuple's items as a list."""
        if not isinstance(value, tuple) or len(value) != len(self.places):
            raise malformed(where, f"is no tuple of {len(self.places)} items")
        pairs = zip(self.places, value, strict=True)
        return [kind.write(each, f"{where}.{name}") for (name, kind), each in pairs]


U8 = Annotated[int, Uint(1)]
U16 = Annotated[int, Uint(2)]
U32 = Annotated[int, Uint(4)]
U64 = Annotated[int, Uint(8)]
Int = Annotated[int, Signed()]
Sha256 = Annotated[bytes, Blob(32, 32)]
Name16 = Annotated[str, Text(16)]
Name32 = Annotated[str, Text(32)]

#: The largest U32.
U32_MAX = 2**32 - 1
