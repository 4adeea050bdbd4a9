"""Host and board follow one table of rules: each header is accepted by both or refused by both."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import ModelFile, rules
from edgeprof.shared.models.gguf_values import SCALARS
from tests.support import header_files as h
from tests.support.header_files import HeaderFile, Tensor

if TYPE_CHECKING:
    from tests.firmware_compute.conftest import Tool

NO_MEMORY = 306
#: What the host alone looks at: weights, and keys that no board reads.
HOST_ONLY = ("not a finite number", "occurs twice")

Judge = Callable[[list[bytes]], list[str]]


@pytest.fixture
def judge(sanitized: Tool, tmp_path: Path) -> Judge:
    """What host and board say of files: "accepted", "refused", or where they differ what the host
    says."""

    def run(contents: list[bytes]) -> list[str]:
        verdicts = []
        for first in range(0, len(contents), 500):
            files = []
            for i, content in enumerate(contents[first : first + 500]):
                files.append(tmp_path / f"{i}.gguf")
                files[-1].write_bytes(content)
            boards = sanitized.open_codes(files)
            verdicts += [_verdict(f, code) for f, code in zip(files, boards, strict=True)]
        return verdicts

    return run


def _verdict(file: Path, board: int) -> str:
    try:
        ModelFile.open(file)
        said = ""
    except ModelError as error:
        said = str(error).removeprefix(f"{file}: ")
    board_takes_it = board in {0, NO_MEMORY}
    if bool(said) != board_takes_it:
        return "refused" if said else "accepted"
    if said and any(words in said for words in HOST_ONLY):
        return "refused by the host alone"
    return f"board: {board}, host: {said or 'accepted'}"


def _agreed(verdicts: list[str]) -> set[str]:
    return {v for v in verdicts if v not in {"accepted", "refused"}} - {"refused by the host alone"}


def _scalars(values: list[float]) -> Iterator[bytes]:
    for kind in (*h.INTEGERS, h.F32, h.F64, h.BOOL):
        for value in values:
            packed = h.scalar(kind, value)
            if packed is not None:
                yield packed
    yield from (h.string(b"none"), h.string(b""), h.array(h.U32, 1, struct.pack("<I", 1)))
    yield struct.pack("<I", 13) + bytes(8)  # a type that does not exist


def _numbers() -> Iterator[bytes]:
    """Each key with a rule, with numbers of every type: at its limits, next to them, and far
    away."""
    far = [-1.0, 0.0, 0.5, 1.0, 2.0, 7.0, 8.0, 127, 128, 255, 2.0**31, 2.0**32, 2.0**63]
    far += [math.nan, math.inf, 1e-46, 1e-39, 1e39, 1e300, 1 - 1e-9, 1 + 1e-9]
    for whole in rules.WHOLES:
        limits = [whole.low - 1, whole.low, whole.high, whole.high + 1]
        own = h.SOUND.get(whole.key, 32)
        for value in _scalars([*far, *map(float, limits), float(own), own / 2, 2.0 * own]):
            yield HeaderFile().with_key(whole.key, value).write()
    for real in rules.REALS:
        for value in _scalars([*far, real.low, real.high, 10000.0, 1e-5, 999999999.0]):
            yield HeaderFile().with_key(real.key, value).write()
    for neutral in (*rules.SCALING_FACTORS, *rules.NEUTRALS):
        for value in _scalars([*far, *neutral.values, *(-v for v in neutral.values)]):
            yield HeaderFile().with_key(neutral.key, value).write()
    root = 8**-0.5
    for value in _scalars([*far, root, root * 1.0000001, root * 1.00001, -root, 0.125]):
        yield HeaderFile().with_key(rules.ATTENTION_SCALE_KEY, value).write()
    for value in _scalars([*far, 15.0, 16.0, 17.0, 15.9999999, 4096.0]):
        yield HeaderFile().with_key(rules.SLIDING_WINDOW_KEY, value).write()


def test_numbers_of_every_type(judge: Judge) -> None:
    """A number is judged by its value, whatever type it has, and alike by both."""
    verdicts = judge(list(_numbers()))

    assert _agreed(verdicts) == set()
    assert min(verdicts.count("accepted"), verdicts.count("refused")) > 200


def _combinations() -> Iterator[bytes]:
    """Head counts, widths, lengths and scalings that only together make sense, or none."""
    u32 = struct.Struct("<II")
    for heads in (1, 2, 3, 4, 5, 8, 16, 32, 64):
        for kv in (1, 2, 3, 4, 8, 16):
            file = HeaderFile().with_key("llama.attention.head_count", u32.pack(h.U32, heads))
            file = file.with_key("llama.attention.head_count_kv", u32.pack(h.U32, kv))
            file = file.with_key("llama.rope.dimension_count", None)
            kv_dim = 64 // heads * kv
            for name in ("attn_k", "attn_v"):
                file = file.with_tensor(f"blk.0.{name}.weight", Tensor((64, kv_dim)))
            yield file.write()
            for length in (1, 4, 8, 16, 64 // heads):
                value = u32.pack(h.U32, length)
                yield file.with_key("llama.attention.key_length", value).write()
                yield file.with_key("llama.attention.value_length", value).write()
                yield file.with_key("llama.rope.dimension_count", value).write()
    for kind in (b"none", b"linear", b"yarn", b"longrope", b"", b"NONE"):
        for factor in (None, 0.0, 1.0, 2.0):
            for old in (None, 1.0, 4.0):
                file = HeaderFile().with_key(rules.SCALING_TYPE_KEY, h.string(kind))
                for rule, number in zip(rules.SCALING_FACTORS, (factor, old), strict=True):
                    if number is not None:
                        file = file.with_key(rule.key, struct.pack("<If", h.F32, number))
                yield file.write()
    for width, heads in ((15, 3), (480, 15), (18, 3), (20, 4)):
        file = HeaderFile().with_key("llama.embedding_length", u32.pack(h.U32, width))
        file = file.with_key("llama.attention.head_count", u32.pack(h.U32, heads))
        file = file.with_key("llama.attention.head_count_kv", u32.pack(h.U32, heads))
        file = file.with_key("llama.rope.dimension_count", u32.pack(h.U32, 2))
        for label, tensor in file.tensors:
            wide = {64, 32} if b"attn" in label else {64}
            ne = tuple(width if n in wide else n for n in tensor.ne)
            file = file.with_tensor(label.decode(), Tensor(ne))
        yield file.write()


def test_what_makes_sense_only_together(judge: Judge) -> None:
    """Head counts, lengths and kinds of scaling are judged alike, in every combination."""
    verdicts = judge(list(_combinations()))

    assert _agreed(verdicts) == set()
    assert min(verdicts.count("accepted"), verdicts.count("refused")) > 40


def _structures() -> Iterator[bytes]:
    """Counts, names, arrays, alignments, offsets and tensors, sound and not."""
    sound = HeaderFile()
    for key, _ in sound.keys:
        yield sound.with_key(key, None).write()
        yield replace(sound, keys=(*sound.keys, (key, h.string(b"again")))).write()
    for more in (119, rules.MAX_KV - len(sound.keys), rules.MAX_KV - len(sound.keys) + 1):
        extra = [(b"llama.extra.%d" % i, struct.pack("<II", h.U32, i)) for i in range(more)]
        yield replace(sound, keys=(*sound.keys, *extra)).write()
    for name in (b"", b"k", b"k" * 256, b"k" * 257, "ü".encode(), b"\xff", b"\0"):
        yield sound.with_key(name, struct.pack("<IB", h.BOOL, 2)).write()
    for element in range(15):
        for count in (0, 1, 2):
            items = h.text(b"x") * count if element == h.STRING else bytes(8 * count)
            size = {1: 1, 2: 2, 4: 4, 8: 8}
            if element in SCALARS:
                items = bytes(size[struct.calcsize(SCALARS[element])] * count)
            yield sound.with_key("an.array", h.array(element, count, items)).write()
    yield sound.with_key("a.string", h.string(bytes(rules.MAX_STRING_BYTES))).write()
    yield sound.with_key("a.string", h.string(bytes(rules.MAX_STRING_BYTES + 1))).write()
    for n in (rules.MAX_ARRAY, rules.MAX_ARRAY + 1):
        yield sound.with_key("an.array", h.array(h.U8, n, bytes(n))).write()
    full = h.array(h.U8, rules.MAX_ARRAY, bytes(rules.MAX_ARRAY))
    for n in (3, 4):
        arrays = [(b"array.%d" % i, full) for i in range(n)]
        yield replace(sound, keys=(*sound.keys, *arrays)).write()
    for alignment in (0, 1, 4, 8, 16, 24, 32, 64, 4096, 8192):
        file = replace(sound, alignment=alignment or 32)
        for kind in (h.U32, h.U64, h.I32, h.F32):
            value = h.scalar(kind, alignment)
            assert value is not None
            yield file.with_key("general.alignment", value).write()
    for version in (0, 1, 2, 4):
        yield replace(sound, version=version).write()
    yield from _tensors(sound)


def _tensors(sound: HeaderFile) -> Iterator[bytes]:
    ones, twos = (np.full(8, x, np.float32).tobytes() for x in (1, 2))
    for key, tensor in sound.tensors:
        label = key.decode()
        yield sound.with_tensor(label, None).write()
        yield sound.with_tensor(label, replace(tensor, kind=7)).write()
        yield sound.with_tensor(label, replace(tensor, kind=1, data=None)).write()
        yield sound.with_tensor(label, replace(tensor, kind=8, data=None)).write()
        for ne in ((*tensor.ne, 1), (*tensor.ne, 1, 1), (*tensor.ne, 2), tensor.ne[:1], (64, 9)):
            yield sound.with_tensor(label, replace(tensor, ne=ne, data=None)).write()
        for ne in ((), (0,), (64, 0), (1, 1, 1, 1, 1), (2**32, 2), (2**63, 2), (2**31, 2**31)):
            yield sound.with_tensor(label, replace(tensor, ne=ne, data=bytes(256))).write()
        for offset in (0, 1, 32, 33, 4096, 2**40, 2**63, 2**64 - 32):
            yield sound.with_tensor(label, replace(tensor, offset=offset)).write()
    yield replace(sound, tensors=sound.tensors[::-1]).write()
    yield replace(sound, tensors=(*sound.tensors, sound.tensors[0])).write()
    yield replace(sound, tensors=()).write()
    for name in (
        "output.weight",
        "blk.0.attn_q.bias",
        "x" * 64,
        "x" * 65,
        "",
        "blk.1.ffn_up.weight",
    ):
        yield sound.with_tensor(name, Tensor((64, 8))).write()
    for factors in (
        *(Tensor((4,), data=ones[:16]), Tensor((4, 1), data=ones[:16]), Tensor((8,), data=ones)),
        *(Tensor((4,), data=twos[:16]), Tensor((4,), data=ones[:12] + twos[:4])),
        *(Tensor((4,), kind=1, data=b"\0\x3c" * 4), Tensor((4,), data=b"\0\0\xc0\x7f" * 4)),
    ):
        yield sound.with_tensor(rules.FREQUENCY_FACTORS, factors).write()


def test_structure(judge: Judge) -> None:
    """Counts, names, arrays, alignments, offsets and tensors are judged alike."""
    verdicts = judge(list(_structures()))

    assert _agreed(verdicts) == set()
    assert min(verdicts.count("accepted"), verdicts.count("refused")) > 20


def test_mutations(judge: Judge) -> None:
    """Bytes of a header overwritten at random: both find the same files sound."""
    rng = np.random.default_rng(11)
    sound = HeaderFile().with_key("llama.rope.freq_base", struct.pack("<If", h.F32, 10000.0))
    for neutral in rules.NEUTRALS:
        sound = sound.with_key(neutral.key, struct.pack("<If", h.F32, neutral.values[0]))
    whole = sound.write()
    end = whole.index(b"blk.0.ffn_down.weight") + 64
    mutants = []
    for _ in range(3000):
        mutant = bytearray(whole)
        for at in rng.integers(4, end, rng.integers(1, 3)):
            mutant[at] = rng.choice(
                [0, 1, 4, 6, 7, 10, 12, 0x7F, 0x80, 0xFF, int(rng.integers(256))]
            )
        mutants.append(bytes(mutant))

    verdicts = judge(mutants)

    assert _agreed(verdicts) == set()
    assert min(verdicts.count("accepted"), verdicts.count("refused")) > 300
