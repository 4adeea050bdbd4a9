"""Frames on the wire (docs/link-protocol.md, section 1): noise in, whole frames or nothing out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from cobs import cobs

MAX_PAYLOAD_BYTES = 1024
#: kind, seq, crc
OVERHEAD_BYTES = 7
_MAX_ENCODED_BYTES = MAX_PAYLOAD_BYTES + OVERHEAD_BYTES + 1 + (MAX_PAYLOAD_BYTES + 7) // 254
#: On the wire, with the zeros around it.
MAX_FRAME_BYTES = _MAX_ENCODED_BYTES + 2


class Kind(IntEnum):
    """What a frame is."""

    REQ = 1
    RSP = 2
    ERR = 3
    EVT = 4
    DATA = 5
    ACK = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """An intact frame."""

    kind: Kind
    seq: int
    payload: bytes


def encode(kind: Kind, seq: int, payload: bytes) -> bytes:
    """Build the bytes on the wire; a leading zero flushes whatever noise came before."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"payload of {len(payload)} bytes, at most {MAX_PAYLOAD_BYTES} fit a frame"
        )
    body = bytes([kind]) + seq.to_bytes(2, "little") + payload
    body += zlib.crc32(body).to_bytes(4, "little")
    return b"\0" + bytes(cobs.encode(body)) + b"\0"


def decode(encoded: bytes) -> Frame | None:
    """Decode what stood between two zeros; None when it is damaged in any way."""
    try:
        body = cobs.decode(encoded)
    except cobs.DecodeError:
        return None
    if not OVERHEAD_BYTES <= len(body) <= MAX_PAYLOAD_BYTES + OVERHEAD_BYTES:
        return None
    if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        return None
    try:
        kind = Kind(body[0])
    except ValueError:
        return None
    return Frame(kind, int.from_bytes(body[1:3], "little"), body[3:-4])


class Decoder:
    """Cuts a byte stream into frames; never raises, counts what it drops."""

    def __init__(self, on_dropped: Callable[[bytes], None] = lambda _: None) -> None:
        """on_dropped gets what is no frame."""
        self._on_dropped = on_dropped
        self._pending = bytearray()
        self._overlong = False
        self.frames = 0
        self.errors = 0
        self.bytes_seen = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take received bytes and yield the frames they complete."""
        self.bytes_seen += len(data)
        *complete, rest = data.split(b"\0")
        for part in complete:
            self._pending += part
            encoded, overlong = bytes(self._pending), self._overlong
            self._pending.clear()
            self._overlong = False
            if not encoded and not overlong:
                continue
            frame = None if overlong else decode(encoded)
            if frame is None:
                self.errors += 1
                self._on_dropped(encoded)
            else:
                self.frames += 1
                yield frame
        self._pending += rest
        if len(self._pending) > _MAX_ENCODED_BYTES:
            self._on_dropped(bytes(self._pending))
            self._pending.clear()  # a board that never ends a frame must not fill our memory
            self._overlong = True
