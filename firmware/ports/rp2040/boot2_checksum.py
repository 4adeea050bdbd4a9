"""Writes the checksum that the RP2040's mask ROM asks for behind boot2, into a linked image.

Usage: boot2_checksum.py ELF   (changed in place)
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

FLASH = 0x10000000
CODE_BYTES = 252
POLYNOMIAL = 0x04C11DB7


def checksum(data: bytes) -> int:
    """Return the CRC-32 of the mask ROM: highest bit first, and the result not inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (POLYNOMIAL if crc >> 31 else 0)) & 0xFFFFFFFF
    return crc


def boot2_offset(elf: bytes) -> int:
    """Return where in the file the start of flash is: the segment with its physical address."""
    (headers,) = struct.unpack_from("<I", elf, 28)
    size, count = struct.unpack_from("<HH", elf, 42)
    for header in range(headers, headers + size * count, size):
        kind, offset, _virtual, physical = struct.unpack_from("<IIII", elf, header)
        if (kind, physical) == (1, FLASH):  # 1: to be loaded
            return int(offset)
    raise SystemExit(f"no segment of the image starts at {FLASH:#x}, where boot2 has to be")


def main() -> None:
    """Complete the file that is named on the command line."""
    path = Path(sys.argv[1])
    elf = bytearray(path.read_bytes())
    start = boot2_offset(elf)
    code = elf[start : start + CODE_BYTES]
    struct.pack_into("<I", elf, start + CODE_BYTES, checksum(code))
    path.write_bytes(elf)


if __name__ == "__main__":
    main()
