"""No byte string can make the firmware read outside a file, overflow, or hang: it answers with a
code."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as Type

from edgeprof.shared.reference.synthetic import SyntheticLlama

if TYPE_CHECKING:
    from tests.firmware_compute.conftest import Tool

Codes = Callable[[list[bytes]], list[int]]

SMALL = SyntheticLlama(
    dim=32,
    hidden=32,
    n_layers=1,
    n_heads=4,
    n_heads_kv=2,
    n_vocab=8,
    n_ctx=16,
    matrix_type=Type.Q8_0,
)


def _codes() -> dict[str, int]:
    text = (
        Path(__file__).resolve().parents[2] / "firmware" / "core" / "platform" / "error.h"
    ).read_text()
    return {name: int(number) for name, number in re.findall(r"TLEP_E_(\w+) = (\d+)", text)} | {
        "OK": 0
    }


CODES = _codes()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound file of a few kilobytes."""
    return SMALL.write(tmp_path_factory.mktemp("hostile") / "good.gguf").read_bytes()


@pytest.fixture
def codes_of(sanitized: Tool, tmp_path: Path) -> Codes:
    """The codes of many files, from one process."""

    def run(contents: list[bytes]) -> list[int]:
        files = []
        for i, content in enumerate(contents):
            files.append(tmp_path / f"{i}.gguf")
            files[-1].write_bytes(content)
        return sanitized.open_codes(files)

    return run


def _metadata_bytes(good: bytes) -> int:
    """Where the tensor data begins, near enough: after the last tensor name."""
    return good.rindex(b"output_norm.weight") + 64


def test_a_sound_file_opens(codes_of: Codes, good: bytes) -> None:
    """The file every mutation starts from is accepted."""
    assert codes_of([good]) == [CODES["OK"]]


def test_version_2_opens(codes_of: Codes, good: bytes) -> None:
    """A GGUF of version 2 opens: it differs from version 3 in nothing that boards read."""
    assert codes_of([good[:4] + _u32(2) + good[8:]]) == [CODES["OK"]]


def test_every_truncation_of_the_metadata_is_refused(codes_of: Codes, good: bytes) -> None:
    """A file cut anywhere in its header is never accepted, and never read past its end."""
    codes = codes_of([good[:n] for n in range(_metadata_bytes(good))])

    assert set(codes) <= {CODES["NOT_GGUF"], CODES["TRUNCATED"]}


def test_every_truncation_of_the_data_is_refused(codes_of: Codes, good: bytes) -> None:
    """A file that lacks its last byte, or many, is truncated."""
    cuts = range(_metadata_bytes(good), len(good) - 32, 97)  # the writer pads the end to 32

    assert set(codes_of([good[:n] for n in cuts])) == {CODES["TRUNCATED"]}


def test_random_mutations_never_escape(codes_of: Codes, good: bytes) -> None:
    """Bytes of the header overwritten at random: any documented code, no sanitizer report."""
    rng = np.random.default_rng(3)
    end = _metadata_bytes(good)
    mutants = []
    for _ in range(2000):
        mutant = bytearray(good)
        for at in rng.integers(4, end, rng.integers(1, 4)):
            mutant[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(0, 256))])
        mutants.append(bytes(mutant))

    codes = codes_of(mutants)

    assert set(codes) <= set(CODES.values())
    assert sum(code != 0 for code in codes) > 500  # the mutations do reach the checks


def test_random_weights_never_escape(codes_of: Codes, good: bytes) -> None:
    """Weights of any bits, infinities and NaN included, run without undefined behaviour."""
    rng = np.random.default_rng(4)
    start = _metadata_bytes(good)
    files = [
        good[:start] + rng.integers(0, 256, len(good) - start, np.uint8).tobytes()
        for _ in range(50)
    ]

    assert set(codes_of(files)) == {CODES["OK"]}


def _patched(good: bytes, key: bytes, skip: int, value: bytes) -> bytes:
    """Overwrite `value` at `skip` bytes after the end of the first occurrence of `key`."""
    at = good.index(key) + len(key) + skip
    return good[:at] + value + good[at + len(value) :]


def _u32(value: int) -> bytes:
    return struct.pack("<I", value)


def _u64(value: int) -> bytes:
    return struct.pack("<Q", value)


# In metadata a u32 value follows key and type (4 bytes); in a tensor info n_dims (4), ne (8 each),
# type, offset follow the name.
Q = b"blk.0.attn_q.weight"
LIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "magic": (lambda g: b"GGML" + g[4:], "NOT_GGUF"),
    "version 1": (lambda g: g[:4] + _u32(1) + g[8:], "NOT_GGUF"),
    "version 4": (lambda g: g[:4] + _u32(4) + g[8:], "NOT_GGUF"),
    "big-endian": (lambda g: g[:4] + _u32(3)[::-1] + g[8:], "NOT_GGUF"),
    "empty": (lambda _: b"", "NOT_GGUF"),
    "too many tensors": (lambda g: g[:8] + _u64(2**63) + g[16:], "MALFORMED"),
    "too many keys": (lambda g: g[:16] + _u64(2**32) + g[24:], "MALFORMED"),
    "one tensor fewer": (
        lambda g: g[:8] + _u64(struct.unpack("<Q", g[8:16])[0] - 1) + g[16:],
        "MISSING",
    ),
    "key of endless length": (lambda g: g[:24] + _u64(2**64 - 1) + g[32:], "TRUNCATED"),
    "other architecture": (
        lambda g: _patched(g, b"general.architecture", 12, b"gpt_x"),
        "ARCHITECTURE",
    ),
    "dim 0": (lambda g: _patched(g, b"llama.embedding_length", 4, _u32(0)), "MALFORMED"),
    "dim that lies": (lambda g: _patched(g, b"llama.embedding_length", 4, _u32(64)), "MALFORMED"),
    "dim huge": (lambda g: _patched(g, b"llama.embedding_length", 4, _u32(2**31)), "MALFORMED"),
    "more kv heads than heads": (
        lambda g: _patched(g, b"llama.attention.head_count_kv", 4, _u32(8)),
        "MALFORMED",
    ),
    "heads that do not divide": (
        lambda g: _patched(g, b"llama.attention.head_count", 4, _u32(5)),
        "MALFORMED",
    ),
    "odd heads": (lambda g: _patched(g, b"llama.attention.head_count", 4, _u32(32)), "MALFORMED"),
    "layers that are not there": (
        lambda g: _patched(g, b"llama.block_count", 4, _u32(2)),
        "MISSING",
    ),
    "odd rotation": (lambda g: _patched(g, b"llama.rope.dimension_count", 4, _u32(3)), "MALFORMED"),
    "vocabulary that lies": (lambda g: _patched(g, b"llama.vocab_size", 4, _u32(9)), "MALFORMED"),
    "context 0": (lambda g: _patched(g, b"llama.context_length", 4, _u32(0)), "MALFORMED"),
    "eps NaN": (
        lambda g: _patched(g, b"llama.attention.layer_norm_rms_epsilon", 4, _u32(0x7FC00000)),
        "MALFORMED",
    ),
    "value of unknown type": (
        lambda g: _patched(g, b"llama.block_count", 0, _u32(99)),
        "MALFORMED",
    ),
    "array of arrays": (lambda g: _patched(g, b"tokenizer.ggml.tokens", 4, _u32(9)), "MALFORMED"),
    "array of endless length": (
        lambda g: _patched(g, b"tokenizer.ggml.tokens", 8, _u64(2**61)),
        "MALFORMED",
    ),
    "no dimensions": (lambda g: _patched(g, Q, 0, _u32(0)), "MALFORMED"),
    "five dimensions": (lambda g: _patched(g, Q, 0, _u32(5)), "MALFORMED"),
    "row of no blocks": (lambda g: _patched(g, Q, 4, _u64(31)), "MALFORMED"),
    "product that wraps 64 bits": (lambda g: _patched(g, Q, 4, _u64(2**63) + _u64(2)), "MALFORMED"),
    "product that wraps 32 bits": (
        lambda g: _patched(g, Q, 4, _u64(2**31) + _u64(32)),
        "MALFORMED",
    ),
    "more rows than bytes": (lambda g: _patched(g, Q, 12, _u64(2**26)), "TRUNCATED"),
    "Q2_K": (lambda g: _patched(g, Q, 20, _u32(10)), "TENSOR_TYPE"),
    "unaligned offset": (lambda g: _patched(g, Q, 24, _u64(33)), "MALFORMED"),
    "offset past the end": (lambda g: _patched(g, Q, 24, _u64(2**40)), "TRUNCATED"),
    "offset that wraps": (lambda g: _patched(g, Q, 24, _u64(2**64 - 32)), "TRUNCATED"),
    "tensor renamed": (lambda g: g.replace(Q, b"blk.0.attn_q.biasss"), "MISSING"),
    "key twice": (
        lambda g: g.replace(b"llama.context_length", b"general.architecture"),
        "MALFORMED",
    ),
    "norm in blocks": (lambda g: _patched(g, b"output_norm.weight", 12, _u32(8)), "TENSOR_TYPE"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_gets_its_own_code(codes_of: Codes, good: bytes, lie: str) -> None:
    """Each field that can lie is checked, and the code names the kind of lie."""
    mutate, expected = LIES[lie]

    assert codes_of([mutate(good)]) == [CODES[expected]]


def test_tensors_nobody_reads_are_refused(codes_of: Codes, tmp_path: Path) -> None:
    """A model with more tensors than the pass uses (here: a layer too many) is not run without
    them."""
    two_layers = replace(SMALL, n_layers=2).write(tmp_path / "two.gguf").read_bytes()

    assert codes_of([_patched(two_layers, b"llama.block_count", 4, _u32(1))]) == [
        CODES["ARCHITECTURE"]
    ]


@pytest.mark.parametrize(
    ("key", "add"),
    [
        ("rope.scaling.type", lambda writer, key: writer.add_string(key, "yarn")),
        ("rope.scale_linear", lambda writer, key: writer.add_float32(key, 2.0)),
        ("expert_count", lambda writer, key: writer.add_uint32(key, 8)),
    ],
)
def test_what_the_pass_does_not_compute_is_refused(
    codes_of: Codes, tmp_path: Path, key: str, add: Callable[[gguf.GGUFWriter, str], None]
) -> None:
    """Variants of llama that would give another answer are refused by their metadata."""
    writer = gguf.GGUFWriter(tmp_path / "variant.gguf", "llama")
    add(writer, f"llama.{key}")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    assert codes_of([(tmp_path / "variant.gguf").read_bytes()]) == [CODES["ARCHITECTURE"]]
