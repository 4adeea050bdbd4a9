"""What an emulator's bridge and our firmware tell each other in RAM (ports/common/identity.h).

32 bytes at an address that the port leaves free: who the board is, and, for emulators without a
sleep of their own (ports/common/bridge.h), whether the firmware sleeps and for how long it has.
"""

from __future__ import annotations

import struct

MAGIC = 0x49444D51  # "QMDI"
UID_MAX_BYTES = 8
#: Offsets of 32-bit words. A number, while the firmware sleeps; what it has slept so far; and how
#: often it has started, which outlives a restart.
STATE = 20
SLEPT_MS = 24
BOOTS = 28
#: What STATE says.
AWAKE, ASLEEP = 0, 1


def identity(uid: bytes, seed: int) -> bytes:
    """Return the bytes by which the firmware knows its chip id and its boot seed."""
    return struct.pack(
        "<II8sI", MAGIC, len(uid), uid.ljust(UID_MAX_BYTES, b"\0"), seed & 0xFFFFFFFF
    )
