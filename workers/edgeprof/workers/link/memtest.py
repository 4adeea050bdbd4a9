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
from edgeprof.workers.board.board import BadWord, MemoryTest
from edgeprof.workers.link.client import LinkSession
from edgeprof.workers.link.hello import U32
from edgeprof.workers.link.messages import Op, get, get_uint

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
    session: LinkSession, regions: Sequence[MemoryRegion], epoch: int, budget_s: float
) -> MemoryTest:
    """Do all passes over pieces in random order: what the time leaves out now, it may take the next time."""
    pieces = _cut(regions)
    total = sum(piece.size_bytes for piece in pieces)
    random.shuffle(pieces)
    deadline = time.monotonic() + budget_s / _PASSES
    filled: list[_Piece] = []
    for piece in pieces:
        _pass(session, piece, _FILL, epoch)
        filled.append(piece)
        if time.monotonic() > deadline:
            break
    tested = sum(piece.size_bytes for piece in filled)
    for number in (_INVERT, _CHECK):
        for piece in filled:
            bad = _pass(session, piece, number, epoch)
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


def _pass(session: LinkSession, piece: _Piece, number: int, epoch: int) -> BadWord | None:
    reply = session.request(
        Op.MEMTEST,
        {1: piece.index, 2: piece.offset_bytes, 3: piece.size_bytes, 4: number, 5: epoch},
    )
    if get(reply, 1, bool, "memory test's outcome"):
        return None
    return BadWord(
        region=piece.region,
        offset_bytes=get_uint(reply, 2, "bad word's offset", U32),
        expected=get_uint(reply, 3, "expected word", U32),
        got=get_uint(reply, 4, "word read", U32),
    )
