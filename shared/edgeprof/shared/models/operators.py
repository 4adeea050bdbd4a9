"""What a forward pass consists of, operator by operator: as firmware/core/model/pass.h does it.

From this follow how much a token computes and reads, and, with the costs of a platform, how long it
takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.models.tensor_types import BLOCK, BLOCK_BYTES
from edgeprof.shared.types.model import KvType, Quantization
from edgeprof.shared.types.profile import ModelDimensions, Operator

#: The matrices of a layer in the order of ModelDimensions.layer_types.
_MATRICES: Final = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
#: Operators whose work grows with the positions in the cache.
ATTENTION: Final = frozenset({Operator.SCORES, Operator.SOFTMAX, Operator.MIX})


@dataclass(frozen=True, slots=True)
class Call:
    """An operator as a token calls it, `count` times in all."""

    operator: Operator
    #: Weight type, element type of the cache, or block of the quantised activations; "" elsewhere.
    kind: str
    count: int
    #: Rows of a matrix, and angles of the rotation; 0 elsewhere.
    rows: int
    #: Elements that one call goes over; of attention those of a head, at each position.
    elements: int
    #: Weights, or cache at one position, that one call reads or writes.
    weight_bytes: int = 0
    cache_bytes: int = 0
    macs: int = 0


def dimensions_of(model: ModelFile, kv_type: KvType, weights_region: str) -> ModelDimensions:
    """Return what of a model decides its speed."""
    shape, tensors = model.shape, model.header.tensors
    layers = tuple(
        tuple(tensors[f"blk.{i}.{name}.weight"].type_name for name in _MATRICES)
        for i in range(shape.n_layers)
    )
    return ModelDimensions(
        n_layers=shape.n_layers,
        dim=shape.dim,
        hidden=shape.hidden,
        n_heads=shape.n_heads,
        n_heads_kv=shape.n_heads_kv,
        head_dim=shape.head_dim,
        rope_dim=shape.rope_dim,
        n_vocab=shape.n_vocab,
        embedding_type=tensors["token_embd.weight"].type_name,
        head_type=tensors.get("output.weight", tensors["token_embd.weight"]).type_name,
        layer_types=layers[:1] if len(set(layers)) == 1 else layers,
        kv_type=str(kv_type),
        weights_region=weights_region,
    )


def calls_of(d: ModelDimensions, *, head: bool) -> list[Call]:
    """Return all operators of one token, those of the output head only with `head`."""
    found = [
        Call(Operator.EMBEDDING, d.embedding_type, 1, 0, d.dim, row_bytes(d.embedding_type, d.dim)),
        Call(Operator.ROPE, "", 1, d.rope_dim // 2, 0),
    ]
    each = d.layer_types if len(d.layer_types) > 1 else d.layer_types * d.n_layers
    for types in each:
        found += _layer(d, types)
    if head:
        found.append(_norm(d))
        found += _quantized("", d.head_type, d.dim)
        found.append(_matrix(Operator.HEAD, d.head_type, d.n_vocab, d.dim))
        found.append(_vector(Operator.ARGMAX, d.n_vocab))
    return found


def weights_bytes(d: ModelDimensions) -> int:
    """Return the bytes of all matrices; of an embedding with weights of its own, nothing."""
    return sum(
        call.count * call.weight_bytes for call in calls_of(d, head=True) if call.rows and call.macs
    )


def row_bytes(kind: str, n: int) -> int:
    """Return the bytes of `n` weights of a type."""
    quantization = Quantization(kind)
    return n // BLOCK[quantization] * BLOCK_BYTES[quantization]


def _layer(d: ModelDimensions, types: tuple[str, ...]) -> Iterator[Call]:
    q, k, v, output, gate, up, down = types
    kv_dim = d.n_heads_kv * d.head_dim
    element = 2 if d.kv_type == KvType.F16 else 4
    yield _norm(d)
    yield from _quantized("", q, d.dim)
    yield _matrix(Operator.Q, q, d.dim, d.dim)
    yield from _quantized(q, k, d.dim)
    yield _matrix(Operator.K, k, kv_dim, d.dim)
    yield from _quantized(k, v, d.dim)
    yield _matrix(Operator.V, v, kv_dim, d.dim)
    yield _vector(Operator.ROPE, (d.n_heads + d.n_heads_kv) * d.rope_dim)
    yield Call(Operator.CACHE_WRITE, d.kv_type, 1, 1, 2 * kv_dim, cache_bytes=2 * kv_dim * element)
    for operator in (Operator.SCORES, Operator.SOFTMAX, Operator.MIX):
        yield from _attention(operator, d, element)
    yield from _quantized("", output, d.dim)
    yield _matrix(Operator.ATTN_OUTPUT, output, d.dim, d.dim)
    yield _vector(Operator.RESIDUAL, d.dim)
    yield _norm(d)
    yield from _quantized("", gate, d.dim)
    yield _matrix(Operator.GATE, gate, d.hidden, d.dim)
    yield from _quantized(gate, up, d.dim)
    yield _matrix(Operator.UP, up, d.hidden, d.dim)
    yield _vector(Operator.SWIGLU, d.hidden)
    yield from _quantized("", down, d.hidden)
    yield _matrix(Operator.DOWN, down, d.dim, d.hidden)
    yield _vector(Operator.RESIDUAL, d.dim)


def _attention(operator: Operator, d: ModelDimensions, element_bytes: int) -> Iterator[Call]:
    """Yield the heads, two by two where they read the same keys: a pair costs less than two."""
    group = d.n_heads // d.n_heads_kv
    for heads, count in ((2, group // 2), (1, group % 2)):
        if count == 0:
            continue
        reads = operator is not Operator.SOFTMAX
        yield Call(
            operator,
            f"{d.kv_type if reads else ''}{' pair' if heads == 2 else ''}".strip(),
            d.n_heads_kv * count,
            0,
            heads * d.head_dim,
            cache_bytes=heads * d.head_dim * element_bytes if reads else 0,
            macs=heads * d.head_dim if reads else 0,
        )


def _norm(d: ModelDimensions) -> Call:
    return Call(Operator.NORM, "", 1, 0, d.dim, weight_bytes=4 * d.dim, macs=d.dim)


def _matrix(operator: Operator, kind: str, rows: int, cols: int) -> Call:
    return Call(
        operator, kind, 1, rows, rows * cols, rows * row_bytes(kind, cols), macs=rows * cols
    )


def _vector(operator: Operator, length: int) -> Call:
    return Call(operator, "", 1, 0, length)


def _quantized(before: str, kind: str, length: int) -> Iterator[Call]:
    """Yield the quantising of an input, unless the weights before had it in the same blocks."""
    block = BLOCK[Quantization(kind)]
    had = BLOCK[Quantization(before)] if before else 1
    if block > 1 and block != had:
        yield Call(Operator.QUANTIZE, str(block), 1, 0, length)
