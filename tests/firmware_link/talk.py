"""What tests of the firmware's link share: the numbers of operations, a frame, an upload."""

from __future__ import annotations

import hashlib
import zlib

import cbor2
from cobs import cobs

from tests.firmware_link.conftest import Chip

REQ, RSP, ERR, EVT, DATA, ACK = range(1, 7)
HELLO, PING, BAUD, UPLOAD, VERIFY, LOAD, PROMPT, RUN, SCORE, RESULT, STATS, CANCEL = range(1, 13)
MEMTEST, IDENTIFY, FAULT = 14, 15, 64
FILL, INVERT, CHECK = range(3)


def frame(kind: int, seq: int, payload: bytes) -> bytes:
    body = bytes([kind]) + seq.to_bytes(2, "little") + payload
    return b"\0" + bytes(cobs.encode(body + zlib.crc32(body).to_bytes(4, "little"))) + b"\0"


def upload(board: Chip, data: bytes, epoch: int = 1) -> bytes:
    """Upload and VERIFY; returns the hash."""
    digest = hashlib.sha256(data).digest()
    kind, reply = board.request({0: UPLOAD, 1: digest, 2: len(data), 3: epoch})
    assert kind == RSP
    position = reply[1]
    while position < len(data):
        board.send(frame(DATA, 1, cbor2.dumps({1: position, 2: data[position : position + 900]})))
        ack = next(message for kind, _, message in board.frames() if kind == ACK)
        assert ack[1] > position
        position = ack[1]
    assert board.request({0: VERIFY, 1: digest}) == (RSP, {0: VERIFY, 1: len(data)})
    return digest


def ready(board: Chip, model: bytes, n_ctx: int = 64, epoch: int = 1) -> None:
    digest = upload(board, model, epoch)
    kind, reply = board.request({0: LOAD, 1: digest, 2: n_ctx, 3: 1, 4: epoch})
    assert kind == RSP, reply
