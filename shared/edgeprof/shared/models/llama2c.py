"""Import of llama2.c checkpoints (versions 0, 1 and 2) with their tokenizer.bin as GGUF.

Their weights are in ggml's NORM rope order already, so nothing is permuted. Layouts: export.py and
run.c of karpathy/llama2.c. Each version's length follows from its header, so a file of another
length is refused.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeprof.shared.models.llama2c_tokenizer import read_tokenizer
from edgeprof.shared.models.llama_writing import (
    F32,
    Hyperparameters,
    Imported,
    read_file,
    refused,
    write_llama,
)
from edgeprof.shared.models.source import source_of_import

_HEADER = struct.Struct("<7i")
_MAGIC = struct.pack("<I", 0x616B3432)
#: After the magic: version, the seven numbers, whether the head is the embedding, and how many int8
#: weights share a scale.
_NEW_HEADER = struct.Struct("<i7iBi")
_NEW_HEADER_BYTES = 256
_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_down", "ffn_up")
_LAYERED = ("attn_norm", "ffn_norm", *_MATRICES)
_ROPE_TABLES = "rope tables"


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    path: Path
    data: bytes
    version: int
    numbers: Hyperparameters
    tied: bool
    group: int
    """Weights that share a scale; version 2 only."""

    def order(self, version: int) -> tuple[str, ...]:
        """The tensors after the header in that version, each for all layers."""
        named: tuple[str, ...] = ("attn_norm", "ffn_norm", "output_norm", "token_embd", *_MATRICES)
        if version == 0:
            named = ("token_embd", "attn_norm", *_MATRICES[:4], "ffn_norm", *_MATRICES[4:])
            named = (*named, "output_norm", _ROPE_TABLES)
        return named if self.tied else (*named, "output")

    def shape(self, name: str) -> tuple[int, ...]:
        n = self.numbers
        if name in _LAYERED:
            return n.layer_shapes()[name]
        if name == _ROPE_TABLES:
            return (2, n.n_ctx, n.dim // n.n_heads // 2)
        return (n.dim,) if name == "output_norm" else (n.n_vocab, n.dim)

    def n_bytes(self, name: str) -> int:
        """Length of one layer's tensor in the file."""
        weights = math.prod(self.shape(name))
        return weights + weights // self.group * 4 if self._grouped(name) else weights * 4

    def count(self, name: str) -> int:
        return self.numbers.n_layers if name in _LAYERED else 1

    def body_bytes(self, order: tuple[str, ...]) -> int:
        """Length of everything after the header."""
        return sum(self.n_bytes(name) * self.count(name) for name in order)

    def _grouped(self, name: str) -> bool:
        return self.version == 2 and not name.endswith("norm")

    def check_groups(self) -> None:
        if self.version != 2:
            return
        sizes = [math.prod(self.shape(name)) for name in self.order(2) if self._grouped(name)]
        if self.group <= 0 or any(size % self.group for size in sizes):
            raise refused(self.path, f"groups of {self.group} weights do not divide its tensors")

    def tensors(self, header_bytes: int, order: tuple[str, ...]) -> dict[str, F32]:
        """Return all tensors by their GGUF names, as views where they are float32 already."""
        return dict(self._read(header_bytes, order))

    def _read(self, at: int, order: tuple[str, ...]) -> Iterator[tuple[str, F32]]:
        for name in order:
            shape = self.shape(name)
            for layer in range(self.count(name)):
                weights = math.prod(shape)
                if self._grouped(name):
                    q = np.frombuffer(self.data, np.int8, weights, at)
                    scales = np.frombuffer(self.data, "<f4", weights // self.group, at + weights)
                    with np.errstate(over="ignore", invalid="ignore"):  # found by its result
                        values = q.reshape(-1, self.group).astype(np.float32) * scales[:, None]
                else:
                    values = np.frombuffer(self.data, "<f4", weights, at)
                at += self.n_bytes(name)
                full = f"blk.{layer}.{name}" if name in _LAYERED else name
                yield full, values.reshape(shape)


def import_checkpoint(checkpoint: Path, tokenizer: Path, out: Path, name: str) -> Imported:
    """Convert a checkpoint. Raises ModelError that names the malformed file."""
    found, header_bytes = _open(checkpoint)
    order, notes = _fitting(found, header_bytes)
    table, more = read_tokenizer(tokenizer, found.numbers.n_vocab, checkpoint)
    tensors = found.tensors(header_bytes, order)
    if found.version == 2:
        notes += (f"int8 weights in groups of {found.group} were dequantised to F32",)
    sha256 = hashlib.sha256(found.data).hexdigest()
    source = source_of_import(checkpoint, sha256, "INT8" if found.version == 2 else "F32")
    return Imported(write_llama(out, name, found.numbers, tensors.get, table, source), notes + more)


def _open(path: Path) -> tuple[_Checkpoint, int]:
    data = read_file(path)
    if data[:4] == _MAGIC:
        version = int.from_bytes(data[4:8], "little", signed=True)
        if version not in {1, 2}:
            raise refused(
                path, f"llama2.c checkpoint version {version} is not known",
                code="version", hint="export it as version 0, 1 or 2 (export.py --version)",
            )  # fmt: skip
        if len(data) < _NEW_HEADER_BYTES:
            raise refused(
                path, f"the header has {_NEW_HEADER_BYTES} bytes, the file {len(data)}",
                code="truncated",
            )  # fmt: skip
        _, *numbers, shared, group = _NEW_HEADER.unpack_from(data, 4)
        if shared > 1:
            raise refused(path, f"its flag for a shared classifier is {shared}, neither 0 nor 1")
        made = _Checkpoint(path, data, version, _numbers(path, numbers), shared == 1, group)
        made.check_groups()
        return made, _NEW_HEADER_BYTES
    if len(data) < _HEADER.size:
        raise refused(
            path, f"too short for a llama2.c checkpoint: {len(data)} bytes", code="truncated"
        )
    numbers = list(_HEADER.unpack_from(data))
    tied = numbers[5] > 0  # the sign of the vocabulary's size means that
    numbers[5] = abs(numbers[5])
    return _Checkpoint(path, data, 0, _numbers(path, numbers), tied, 0), _HEADER.size


def _numbers(path: Path, numbers: list[int]) -> Hyperparameters:
    dim, hidden, layers, heads, kv_heads, vocab, n_ctx = numbers
    sane = all(0 < value <= 1 << 20 for value in numbers) and layers <= 128
    if not sane or dim % heads or heads % kv_heads or dim // heads % 2:
        raise refused(
            path, "its header makes no sense; is it a llama2.c checkpoint?",
            hint="also imported: folders from Hugging Face, with config.json and safetensors",
        )  # fmt: skip
    return Hyperparameters(vocab, n_ctx, dim, hidden, layers, heads, kv_heads)


def _fitting(found: _Checkpoint, header_bytes: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the order of tensors that fits the file's length, and notes for the user."""
    order = found.order(found.version)
    want = header_bytes + found.body_bytes(order)
    have = len(found.data)
    if have == want:
        return order, ()
    # Two habits of exporters, which the lengths distinguish: version 0 without its two RoPE tables,
    # which nobody needs, and version 0's body after the header of version 1.
    legacy = found.order(0)
    bare = tuple(name for name in legacy if name != _ROPE_TABLES)
    if found.version == 0 and have == header_bytes + found.body_bytes(bare):
        return bare, ("the checkpoint has no RoPE tables; they are computed anyway",)
    if found.version == 1 and have == header_bytes + found.body_bytes(legacy):
        return legacy, ("the header says version 1, the length version 0: read as version 0",)
    raise refused(
        found.path,
        f"a llama2.c version {found.version} checkpoint with this header has {want} bytes,"
        f" this file has {have}",
        code="truncated" if have < want else "malformed",
        hint="fetch or export the file again",
    )
