"""GGUF files byte by byte: whatever a header may say, sound or not."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field, replace

import numpy as np

from edgeprof.shared.models.gguf_values import SCALARS

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
INTEGERS = (U8, I8, U16, I16, U32, I32, U64, I64)


def text(value: bytes) -> bytes:
    """A string, as GGUF has it."""
    return struct.pack("<Q", len(value)) + value


def scalar(kind: int, value: float) -> bytes | None:
    """A value with its type before it; None when the type cannot hold the value."""
    code = SCALARS[kind]
    try:
        packed = struct.pack(code, value if kind in {F32, F64} else int(value))
    except (struct.error, OverflowError, ValueError):
        return None
    return struct.pack("<I", kind) + packed


def string(value: bytes) -> bytes:
    """A string value with its type before it."""
    return struct.pack("<I", STRING) + text(value)


def array(element: int, count: int, items: bytes) -> bytes:
    """An array value with its type before it."""
    return struct.pack("<IIQ", ARRAY, element, count) + items


@dataclass(frozen=True)
class Tensor:
    """A tensor's description; the data are zeros unless they are given."""

    ne: tuple[int, ...]
    kind: int = 0
    data: bytes | None = None
    #: Where it is said to be; None for where it is.
    offset: int | None = None

    def bytes(self) -> bytes:
        """Its data."""
        if self.data is not None:
            return self.data
        block, block_bytes = {0: (1, 4), 1: (1, 2), 8: (32, 34)}.get(self.kind, (1, 4))
        return bytes(int(np.prod(self.ne)) // block * block_bytes)


#: What a small model says of itself. Width 64 in 8 heads: a head is 8 wide.
SOUND = {
    "llama.context_length": 16,
    "llama.embedding_length": 64,
    "llama.feed_forward_length": 32,
    "llama.block_count": 1,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 4,
    "llama.rope.dimension_count": 8,
    "llama.vocab_size": 8,
}


def _sound_keys() -> tuple[tuple[bytes, bytes], ...]:
    keys = [(b"general.architecture", string(b"llama"))]
    keys += [(k.encode(), struct.pack("<II", U32, v)) for k, v in SOUND.items()]
    keys += [(b"llama.attention.layer_norm_rms_epsilon", struct.pack("<If", F32, 1e-5))]
    keys += [(b"tokenizer.ggml.tokens", array(STRING, 8, b"".join(text(b"ab") for _ in range(8))))]
    return tuple(keys)


def _sound_tensors() -> tuple[tuple[bytes, Tensor], ...]:
    one = np.ones(64, np.float32).tobytes()
    return (
        (b"token_embd.weight", Tensor((64, 8))),
        (b"output_norm.weight", Tensor((64,), data=one)),
        (b"blk.0.attn_norm.weight", Tensor((64,), data=one)),
        (b"blk.0.attn_q.weight", Tensor((64, 64))),
        (b"blk.0.attn_k.weight", Tensor((64, 32))),
        (b"blk.0.attn_v.weight", Tensor((64, 32))),
        (b"blk.0.attn_output.weight", Tensor((64, 64))),
        (b"blk.0.ffn_norm.weight", Tensor((64,), data=one)),
        (b"blk.0.ffn_gate.weight", Tensor((64, 32))),
        (b"blk.0.ffn_up.weight", Tensor((64, 32))),
        (b"blk.0.ffn_down.weight", Tensor((32, 64))),
    )


@dataclass(frozen=True)
class HeaderFile:
    """A GGUF to be changed and written. Keys and tensors are in order; a key may occur twice."""

    keys: tuple[tuple[bytes, bytes], ...] = field(default_factory=_sound_keys)
    tensors: tuple[tuple[bytes, Tensor], ...] = field(default_factory=_sound_tensors)
    version: int = 3
    alignment: int = 32

    def with_key(self, key: str | bytes, value: bytes | None) -> HeaderFile:
        """Set a key; None takes it away."""
        name = key.encode() if isinstance(key, str) else key
        found = [n for n, _ in self.keys]
        if value is None:
            return replace(self, keys=tuple(item for item in self.keys if item[0] != name))
        if name not in found:
            return replace(self, keys=(*self.keys, (name, value)))
        return replace(self, keys=tuple((n, value if n == name else old) for n, old in self.keys))

    def with_tensor(self, name: str, tensor: Tensor | None) -> HeaderFile:
        """Set a tensor; None takes it away."""
        key = name.encode()
        kept = [(n, tensor if n == key else old) for n, old in self.tensors]
        if tensor is not None and key not in {n for n, _ in self.tensors}:
            kept.append((key, tensor))
        return replace(self, tensors=tuple((n, t) for n, t in kept if t is not None))

    def write(self) -> bytes:
        """The file."""
        head = b"GGUF" + struct.pack("<IQQ", self.version, len(self.tensors), len(self.keys))
        for key, value in self.keys:
            head += text(key) + value
        data = b""
        for name, tensor in self.tensors:
            offset = len(data) if tensor.offset is None else tensor.offset
            head += text(name) + struct.pack("<I", len(tensor.ne))
            head += struct.pack(f"<{len(tensor.ne)}Q", *tensor.ne)
            head += struct.pack("<IQ", tensor.kind, offset)
            data += tensor.bytes()
            data += bytes(-len(data) % self.alignment)
        return head + bytes(-len(head) % self.alignment) + data
