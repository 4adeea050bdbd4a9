"""Reads the blocks of an RP2350 image by the boot ROM's rules (datasheet, 5.1 and 5.9).

What the ROM refuses is refused here, with the reason: an image that passes is one that it starts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

BLOCK_START, BLOCK_END = 0xFFFFDED3, 0xAB123579
ITEM_IMAGE_TYPE, ITEM_LAST = 0x42, 0xFF
#: Where the ROM looks for the first block, and how long a block may be that tells of an image.
SEARCHED_BYTES, BLOCK_MAX_BYTES = 4096, 0x180
#: Bits of the image type: program, secure, and for the RP2350; 0 in the CPU's bits is Arm.
PROGRAM, SECURE, ARM, RP2350 = 0x0001, 0x0020, 0x0000, 0x1000


class BadImageError(Exception):
    """The boot ROM would not start this image."""


@dataclass(frozen=True, slots=True)
class Block:
    """One block of the loop: its place, its items as (type, words), and where the next one is."""

    at: int
    items: tuple[tuple[int, bytes], ...]
    next_at: int


def _word(image: bytes, at: int) -> int:
    if not 0 <= at <= len(image) - 4:
        raise BadImageError(f"the image ends before {at:#x}")
    word: int = struct.unpack_from("<I", image, at)[0]
    return word


def _size_words(header: int) -> int:
    """Return an item's size: types from 0x80 on have two bytes for it, others one."""
    return header >> 8 & (0xFFFF if header & 0x80 else 0xFF)


def _block(image: bytes, start: int) -> Block:
    if _word(image, start) != BLOCK_START:
        raise BadImageError(f"no block starts at {start:#x}")
    items: list[tuple[int, bytes]] = []
    at = start + 4
    while True:
        header = _word(image, at)
        kind, size = header & 0xFF, _size_words(header)
        if size == 0:
            raise BadImageError(f"an item of no size at {at:#x}")
        if kind == ITEM_LAST:
            break
        items.append((kind, image[at : at + 4 * size]))
        at += 4 * size
    if size != (at - start - 4) // 4:
        raise BadImageError(f"the last item of the block at {start:#x} tells another size")
    if _word(image, at + 8) != BLOCK_END:
        raise BadImageError(f"the block at {start:#x} does not end where it says")
    if at + 12 - start > BLOCK_MAX_BYTES:
        raise BadImageError(f"the block at {start:#x} is too long")
    (offset,) = struct.unpack_from("<i", image, at + 4)
    return Block(start, tuple(items), start + offset)


def block_loop(image: bytes) -> list[Block]:
    """Return an image's blocks in their order. Raises BadImageError where they form no loop."""
    for at in range(0, min(SEARCHED_BYTES, len(image) - 3), 4):
        if _word(image, at) == BLOCK_START:
            break
    else:
        raise BadImageError("no block starts in the first 4 KiB")
    blocks = [_block(image, at)]
    while blocks[-1].next_at != blocks[0].at:
        last = blocks[-1]
        if last.next_at in {block.at for block in blocks} or last.next_at < blocks[0].at:
            raise BadImageError(
                f"the block at {last.at:#x} links to {last.next_at:#x}: that is no loop"
            )
        blocks.append(_block(image, last.next_at))
    return blocks


def check_image(image: bytes) -> list[Block]:
    """Return the blocks of an Arm program for the RP2350. Raises BadImageError for any other."""
    blocks = block_loop(image)
    wanted = struct.pack("<BBH", ITEM_IMAGE_TYPE, 1, PROGRAM | SECURE | ARM | RP2350)
    definitions = [block for block in blocks if block.items[:1] == ((ITEM_IMAGE_TYPE, wanted),)]
    if not definitions:
        raise BadImageError("no block says that this is a secure Arm program for the RP2350")
    return blocks
