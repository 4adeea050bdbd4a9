"""What a sound board sends in each flow of hostile_board: the campaign against the host mutates
it."""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping, Sequence

import cbor2

from edgeprof.workers.link.framing import Kind
from edgeprof.workers.link.messages.operations import Event, Op
from edgeprof.workers.link.messages.wire_types import U32_MAX
from tests.support.hostile_board import FLOWS, MODEL, MORE, N_GEN, PROMPT

BOOT_ID = 7
HELLO: Mapping[int, object] = {
    1: [1, 0], 2: b"\x01\x02", 3: "native", 4: "0.1.0", 5: "unknown", 6: "gcc 12", 7: 0,
    8: {1: "CLOCK_MONOTONIC", 2: 1}, 9: True, 10: BOOT_ID,
    11: [{1: "ram", 2: 0, 3: 65536, 4: 65536}, {1: "flash", 2: 1, 3: 65536, 4: 65472}],
    12: [0, 1, 2, 8, 35], 13: 1024, 14: 2048, 15: [115200, 921600], 16: None,
    17: {1: bytes(32), 2: 5, 3: 4}, 18: 3, 19: 512,
}  # fmt: skip


def record(kind: int, message: Mapping[int, object]) -> bytes:
    payload = cbor2.dumps(message)
    return bytes([kind]) + struct.pack("<H", len(payload)) + payload


def reply(op: Op, message: Mapping[int, object], *, more: bool = False) -> bytes:
    return record(Kind.RSP | (MORE if more else 0), {0: int(op), **message})


def error(op: Op, code: int) -> bytes:
    return record(Kind.ERR, {0: int(op), 1: code, 2: "does not fit", 3: 9, 4: 5})


def run_id() -> int:
    """The name that a run gets after hostile_board has seeded the generator."""
    random.seed(0)
    random.randint(1, 65535)
    return random.randint(1, U32_MAX)


def result(entries: Sequence[Sequence[float]]) -> bytes:
    head = {1: 1, 2: len(entries), 3: BOOT_ID, 4: 5, 5: 6, 6: entries, 7: 9, 9: 0}
    return reply(Op.RESULT, head)


def done(run_id: int) -> bytes:
    return record(Kind.EVT, {0: int(Event.DONE), 1: run_id, 2: 1})


def seeds() -> list[bytes]:
    """One sound input for each flow, and some that end in a board's refusal."""
    run = run_id()
    hello = reply(Op.HELLO, HELLO)
    staged = reply(Op.PROMPT, {1: len(PROMPT)})
    token = record(Kind.EVT | MORE, {0: int(Event.TOKEN), 1: run, 2: 0, 3: 5, 4: 6})
    region = {1: "ram", 2: 0, 3: 65536, 4: 9, 5: 9}
    stats = {1: 3, 2: 1, 3: 2, 4: BOOT_ID, 5: [region], 6: dict.fromkeys(range(1, 6), 0),
             7: [["die", -1000]], 8: True, 9: 0}  # fmt: skip
    acks = b"".join(record(Kind.ACK, {1: at, 2: 2048}) for at in (960, MODEL.stat().st_size))
    loaded = {1: 5, 2: 0, 3: [{1: "weights", 2: "ram", 3: 99}], 4: 8, 5: 999}
    flows = {
        "hello": b"",
        "stats": reply(Op.STATS, stats),
        "clock": b"".join(reply(Op.PING, {1: echo, 2: echo, 3: BOOT_ID}) for echo in range(5)),
        "cancel": reply(Op.CANCEL, {1: False}),
        "reset": reply(Op.RESET, {}) + reply(Op.HELLO, {**HELLO, 10: BOOT_ID + 1}),
        "load": reply(Op.CANCEL, {1: False}) + hello + reply(Op.UPLOAD, {1: 0}) + acks
        + reply(Op.VERIFY, {1: 9})
        + reply(Op.LOAD, loaded),
        "run": staged + reply(Op.RUN, {1: run}, more=True) + token + done(run)
        + result([[5, 0]] + [[2, 7]] * (N_GEN - 1)),
        "score": staged + reply(Op.SCORE, {1: run}, more=True) + done(run)
        + result([[5, -1.5]] * (len(PROMPT) - 1)),
    }  # fmt: skip
    sound = [bytes([i]) + hello + flows[name] for i, name in enumerate(FLOWS)]
    refused = [b"\x01" + hello + error(Op.STATS, code) for code in (203, 306, 401)]
    return [*sound, *refused, b"\x00" + error(Op.HELLO, 102)]
