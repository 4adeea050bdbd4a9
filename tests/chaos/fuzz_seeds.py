"""`python -m tests.chaos.fuzz_seeds`: write what the fuzzers of firmware/fuzz start from.

One sound conversation or file for each thing the firmware can do: the fuzzers find the unsound
ones.
"""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cbor2
import gguf
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.reference.synthetic import SyntheticLlama
from edgeprof.workers.link.framing import Kind, encode
from edgeprof.workers.link.messages.operations import Op

CORPUS = Path(__file__).resolve().parents[2] / "firmware" / "fuzz" / "corpus"
#: What a record of fuzz_link.c is, beside a frame of some kind.
NOISE, FLASH, UPLOAD = 0, 6, 7
REPEAT, SILENCE = 0x40, 0x80

TINY = SyntheticLlama(dim=4, hidden=4, n_layers=1, n_heads=2, n_heads_kv=1, n_vocab=8, n_ctx=16)
BLOCKS = replace(TINY, dim=32, hidden=32, n_heads=4, n_heads_kv=2)


def model(shape: SyntheticLlama) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return shape.write(Path(folder) / "model.gguf").read_bytes()


def _ternary() -> bytes:
    """Rows of 256, the shortest of TQ2_0, only where `hidden` makes them: else the file would be
    large."""
    data = model(replace(TINY, hidden=256, matrix_type=Type.F16))
    name = b"blk.0.ffn_down.weight"
    at = data.index(name) + len(name) + 4 + 2 * 8  # after n_dims and ne
    return data[:at] + struct.pack("<I", Type.TQ2_0) + data[at + 4 :]


def _all_keys() -> bytes:
    """Every key that is looked up, those included that a writer of small models leaves out."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "keys.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_custom_alignment(8)
        writer.add_rope_scaling_type(gguf.RopeScalingType.NONE)
        writer.add_expert_count(0)
        writer.add_key_length(2)
        writer.add_value_length(2)
        writer.add_rope_freq_base(500_000.0)
        writer.add_array("numbers", [1, 2, 3])
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def files() -> dict[str, bytes]:
    """The seeds of fuzz_gguf, by name."""
    return {
        "f32": model(TINY),
        "f16-output": model(replace(TINY, matrix_type=Type.F16, output_type=Type.F32)),
        "q8_0": model(replace(BLOCKS, matrix_type=Type.Q8_0)),
        "q4_0": model(replace(BLOCKS, matrix_type=Type.Q4_0)),
        "tq2_0": _ternary(),
        "keys": _all_keys(),
        "empty": b"GGUF" + struct.pack("<IQQ", 3, 0, 0),
    }


def _record(what: int, content: bytes) -> bytes:
    return bytes([what]) + struct.pack("<H", len(content)) + content


def _request(op: int, arguments: Mapping[int, object] | None = None, flags: int = 0) -> bytes:
    return _record(Kind.REQ | flags, cbor2.dumps({0: op, **(arguments or {})}))


def conversations() -> dict[str, bytes]:
    """The seeds of fuzz_link, by name."""
    tiny = model(TINY)
    prompt = _request(Op.PROMPT, {1: 0, 2: [1, 2, 3]})
    run = _request(Op.RUN, {1: 7, 2: 4, 3: 1})
    result = _request(Op.RESULT, {1: 7, 2: 0, 3: 64})
    ping = _request(Op.PING, {1: 7})
    frame = encode(Kind.REQ, 1, cbor2.dumps({0: int(Op.PING)}))
    hello = _request(Op.HELLO, {1: 1, 2: 0}) + _request(Op.HELLO, {1: 2, 2: 0})
    upload = _request(Op.UPLOAD, {1: bytes(32), 2: 40, 3: 1})
    upload += _record(Kind.DATA, cbor2.dumps({1: 0, 2: b"some of it"}))
    upload += _record(Kind.DATA, cbor2.dumps({1: 30, 2: b"not the next"}))
    upload += _request(Op.VERIFY, {1: bytes(32)})
    wrong: list[tuple[int, Mapping[int, object]]] = [
        (Op.PROMPT, {1: 0, 2: [8]}), (Op.PROMPT, {1: 9, 2: [1]}), (Op.PROMPT, {1: 0, 2: [1] * 17}),
        (Op.RUN, {1: 0, 2: 1, 3: 1}), (Op.RUN, {1: 7, 2: 16, 3: 1}), (Op.RUN, {1: 7, 2: 1, 3: 0}),
        (Op.LOAD, {1: bytes(32), 2: 16, 3: 2, 4: 1}), (Op.LOAD, {1: bytes(32), 2: 33, 3: 1, 4: 1}),
        (Op.UPLOAD, {1: bytes(32), 2: 2**31, 3: 1}), (Op.UPLOAD, {1: bytes(32), 2: 0, 3: 1}),
        (Op.UPLOAD, {1: bytes(32), 2: 4, 3: 1}), (Op.BAUD, {1: 9600}),
    ]  # fmt: skip
    halves = [cbor2.dumps({1: at, 2: bytes(600)}) for at in (0, 600, 1200, 0)]
    burst = encode(Kind.REQ, 1, cbor2.dumps({0: int(Op.UPLOAD), 1: bytes(32), 2: 1800, 3: 1}))
    burst += b"".join(encode(Kind.DATA, 1, half) for half in halves)
    records = {
        "errors": _record(UPLOAD, tiny) + prompt + b"".join(_request(*each) for each in wrong)
        + _record(Kind.DATA, cbor2.dumps({1: 0, 2: b"none"})) + _request(Op.VERIFY, {1: bytes(32)}),
        "window": _request(Op.UPLOAD, {1: bytes(32), 2: 1800, 3: 1})
        + b"".join(_record(Kind.DATA, half) for half in halves)
        + _record(Kind.DATA | SILENCE, cbor2.dumps({1: 7, 2: b""}))
        + _request(Op.VERIFY, {1: bytes(32)}),
        "crowd": _record(FLASH, tiny) + prompt + run + _request(Op.STATS) * 24,
        "slow": _record(FLASH, tiny) + prompt + run + _record(NOISE | SILENCE, b"") * 2,
        "large": _record(FLASH, model(replace(TINY, n_ctx=16, n_vocab=64, n_layers=2))) + prompt,
        "hello": hello,
        "ping": ping + _request(Op.PING, {1: 7}, REPEAT),
        "baud": _request(Op.BAUD, {1: 921600}) + _record(NOISE | SILENCE, b""),
        "upload": upload,
        "run": _record(UPLOAD, tiny) + prompt + run + result + ping + result,
        "cancel": _record(UPLOAD, tiny) + prompt + run + _request(Op.CANCEL, {1: 1}) + result,
        "score": _record(FLASH, tiny) + prompt + _request(Op.SCORE, {1: 7, 2: 1}) + ping + result,
        "stats": _record(FLASH, tiny) + _request(Op.STATS),
        "reset": _request(Op.RESET) + ping,
        "memory": _record(UPLOAD, tiny) + prompt
        + b"".join(_request(Op.MEMTEST, {1: 0, 2: 64, 3: 256, 4: step, 5: 1}) for step in range(3))
        + run,
        "identify": _request(Op.IDENTIFY, {1: 100}) + ping + _request(Op.IDENTIFY, {1: 0}),
        "cbor": _record(Kind.REQ, cbor2.dumps({0: 2, 9: [-1, {1: [b"x"]}, "x", None, 1.5, True]})),
        "others": b"".join(_record(kind, b"\xa0") for kind in (Kind.RSP, Kind.EVT, Kind.DATA)),
        "noise": _record(NOISE, frame[:9]) + _record(NOISE, b"\x01" * 1100) + ping,
    }  # fmt: skip
    return {name: b"\x01" + seed for name, seed in records.items()} | {
        "raw": b"\x00" + frame * 2,
        "burst": b"\x00" + burst,
    }


def payloads() -> dict[str, bytes]:
    """The seeds of fuzz_payload, by name: each type of the subset, each length of a head."""
    numbers = [0, 24, 2**8, 2**16, 2**32, 2**64 - 1, -1, -(2**64)]
    return {
        "numbers": cbor2.dumps({0: 7, 1: 2**32, 2: numbers, 3: -5}),
        "strings": cbor2.dumps({0: 4, 1: bytes(32), 2: "text", 3: bytes(300), 4: "x" * 30}),
        "nested": cbor2.dumps({0: 1, 2: [[1, [2]]], 3: {1: {2: {3: 4}}}, 24: [True, False, None]}),
        "float": b"\xa1\x01\xfa\x3f\xc0\x00\x00",
        "endless": b"\xa1\x01\x5b" + b"\xff" * 8,
    }


def write(folder: Path = CORPUS) -> None:
    targets = {"link": conversations(), "payload": payloads(), "gguf": files()}
    for target, seeds in targets.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, seed in seeds.items():
            (folder / target / name).write_bytes(seed)


if __name__ == "__main__":
    write()
