"""MEMTEST over all RAM of a board, or over as much of it as the time allows.

docs/link-protocol.md, section 4.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edgeprof.shared.types.board import MemoryRegion
from edgeprof.workers.board.protocols import BadWord, MemoryTest
from edgeprof.workers.link.client import LinkClient
from edgeprof.workers.link.messages.board import MemtestRequest
from edgeprof.workers.link.messages.wire_types import malformed

#: The longest piece that a board takes.
PIECE_BYTES: Final = 64 * 1024
_FILL, _INVERT, _CHECK = range(3)
_PASSES: Final = 3
_WORD_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of a RAM region that one request tests."""

    index: int
    region: str
    offset_bytes: int
    size_bytes: int


def test_memory(
    client: LinkClient, regions: Sequence[MemoryRegion], epoch: int, budget_s: float
) -> MemoryTest:
    """Do all passes over pieces in random order; what time leaves out may come next time."""
    pieces = _cut(regions)
    total = sum(piece.size_bytes for piece in pieces)
    random.shuffle(pieces)
    deadline = time.monotonic() + budget_s / _PASSES
    filled: list[_Piece] = []
    for piece in pieces:
        _pass(client, piece, _FILL, epoch)
        filled.append(piece)
        if time.monotonic() > deadline:
            break
    tested = sum(piece.size_bytes for piece in filled)
    for number in (_INVERT, _CHECK):
        for piece in filled:
            bad = _pass(client, piece, number, epoch)
            if bad is not None:
                return MemoryTest(tested, total, bad)
    return MemoryTest(tested, total, None)


def _cut(regions: Sequence[MemoryRegion]) -> list[_Piece]:
    pieces = []
    for index, region in enumerate(regions):
        size = region.available_bytes // _WORD_BYTES * _WORD_BYTES
        if region.kind == "ram":
            pieces += [
                _Piece(index, region.name, at, min(PIECE_BYTES, size - at))
                for at in range(0, size, PIECE_BYTES)
            ]
    return pieces


def _pass(client: LinkClient, piece: _Piece, number: int, epoch: int) -> BadWord | None:
    reply = client.request(
        MemtestRequest(
            region=piece.index,
            offset=piece.offset_bytes,
            length_bytes=piece.size_bytes,
            pass_number=number,
            epoch=epoch,
        )
    )
    if reply.passed:
        return None
    if reply.offset is None or reply.expected is None or reply.got is None:
        raise malformed("memtest-reply", "of a failed test does not name the bad word")
    return BadWord(
        region=piece.region,
        offset_bytes=reply.offset,
        expected=reply.expected,
        got=reply.got,
    )
