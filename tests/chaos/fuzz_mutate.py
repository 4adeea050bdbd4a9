"""Other inputs made of known ones: bytes changed anywhere, or values inside the messages that they
carry."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

import cbor2

from tests.support.hostile_board import records

#: What a parser of small maps may not have thought of.
VALUES: Sequence[object] = (
    0, 1, -1, 23, 255, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, -(2**63), -(2**64),
    2**64, 2**2000, True, False, None, 1.5, float("nan"), float("inf"), "", "x", "x" * 300, "\x07",
    "\ud7ff", b"", b"x", bytes(32), [], [0], [[0]], [[[[0]]]], {}, {0: 0}, {"a": 1},
    {1: {1: {1: {}}}},
    [0] * 100, cbor2.CBORTag(1, 0), cbor2.CBORTag(4, [9, 9]), cbor2.CBORTag(30, [1, 0]),
    cbor2.CBORTag(35, "(("), cbor2.CBORTag(258, [1]), cbor2.CBORSimpleValue(99), cbor2.undefined,
)  # fmt: skip
HEADS = (0, 1, 2, 3, 4, 5, 6, 0x82, 0x84, 0x86)


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _remove(rng: random.Random, data: bytearray) -> None:
    if data:
        at = rng.randrange(len(data))
        del data[at : at + rng.randrange(1, 9)]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.randbytes(rng.randrange(1, 9))


BYTES: Sequence[Callable[[random.Random, bytearray], None]] = (_flip, _set, _remove, _insert)


def _changed(rng: random.Random, value: object, depth: int = 4) -> object:
    """Change one value somewhere inside `value`."""
    inside = depth > 0 and rng.random() < 0.8
    if inside and isinstance(value, dict) and value:
        key = rng.choice(list(value))
        fields = {**value, key: _changed(rng, value[key], depth - 1)}
        if rng.random() < 0.1:
            del fields[key]
        return fields
    if inside and isinstance(value, list) and value:
        items = list(value)
        at = rng.randrange(len(items))
        items[at] = _changed(rng, items[at], depth - 1)
        return items * 2 if rng.random() < 0.1 else items
    return rng.choice(VALUES)


def _payload(rng: random.Random, payload: bytes) -> bytes:
    """Change a message as a message, or, where it is none any more, as bytes."""
    if rng.random() < 0.7:
        try:
            return cbor2.dumps(_changed(rng, cbor2.loads(payload)))
        except (cbor2.CBORError, ValueError, OverflowError, TypeError, RecursionError):
            pass
    data = bytearray(payload)
    rng.choice(BYTES)(rng, data)
    return bytes(data)


def _answers(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Change one answer, or the order of them, or take some of another input."""
    answers = list(records(data[1:])) or [(2, b"\xa0")]
    at = max(rng.randrange(len(answers)), rng.randrange(len(answers)))  # all begin with HELLO
    head, payload = answers[at]
    match rng.randrange(10):
        case 0:
            answers[at] = (rng.choice(HEADS), payload)
        case 1:
            answers[at + 1 :] = records(other[1:])
        case 2:
            del answers[at]
        case 3:
            answers.insert(at, rng.choice(answers))
        case _:
            answers[at] = (head, _payload(rng, payload))
    framed = (bytes([head]) + struct.pack("<H", len(p) & 0xFFFF) + p for head, p in answers)
    return data[:1] + b"".join(framed)


def mutated(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """One to four changes of an input; `other` is there to be mixed in."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        if rng.random() < 0.8:
            data = _answers(rng, data, other)
        else:
            raw = bytearray(data)
            rng.choice(BYTES)(rng, raw)
            data = bytes(raw)
    return data[:8192]
