"""Packs what a finished job leaves in Redis once an archive holds it: a fifth of the room.

A packed record loses nothing: readers unpack it, and an archive that was lost is filled from it.
The dictionary is a typical record. It never changes, because packed records need the very same one.
"""

from __future__ import annotations

import functools
import importlib.resources
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pydantic_core

#: A record, unpacked. The largest that is valid is far smaller; a forged one must not fill memory.
LARGEST_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Bulk:
    """The large parts of a finished job, as they were in Redis: each is JSON."""

    spec: str
    attempts: Sequence[str]
    history: Sequence[str]
    result: str


@functools.cache
def _dictionary() -> bytes:
    folder = importlib.resources.files("edgeprof.shared.store")
    return folder.joinpath("packing_dictionary.txt").read_bytes()


def pack(bulk: Bulk) -> bytes:
    """Return the packed record; b"" when it is too large to be unpacked again."""
    # Not one JSON document: quotes inside quotes would cost room.
    parts = [bulk.spec, bulk.result, *bulk.attempts, *bulk.history]
    sizes = [len(bulk.attempts), *(len(part.encode()) for part in parts)]
    data = b"\n".join([pydantic_core.to_json(sizes), "".join(parts).encode()])
    if len(data) > LARGEST_BYTES:
        return b""
    packer = zlib.compressobj(9, wbits=-15, zdict=_dictionary())
    return packer.compress(data) + packer.flush()


def unpack(packed: bytes) -> Bulk:
    """Return what was packed. Raises ValueError when this is no packed record."""
    unpacker = zlib.decompressobj(wbits=-15, zdict=_dictionary())
    try:
        data = unpacker.decompress(packed, LARGEST_BYTES)
    except zlib.error as error:
        raise ValueError(f"it is no packed record: {error}") from None
    head, _, body = data.partition(b"\n")
    sizes = pydantic_core.from_json(head)
    if not unpacker.eof or not _are_sizes(sizes, len(body)):
        raise ValueError("it is no packed record")
    parts, start = [], 0
    for size in sizes[1:]:
        parts.append(body[start : start + size].decode())
        start += size
    spec, result, *lines = parts
    return Bulk(spec, lines[: sizes[0]], lines[sizes[0] :], result)


def _are_sizes(sizes: object, body_bytes: int) -> bool:
    return (
        isinstance(sizes, list)
        and len(sizes) >= 3
        and all(type(size) is int and size >= 0 for size in sizes)
        and sizes[0] <= len(sizes) - 3
        and sum(sizes[1:]) == body_bytes
    )
