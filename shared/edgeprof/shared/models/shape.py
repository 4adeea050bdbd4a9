"""Hyperparameters of a plain llama; everything that the boards do not compute is refused.

Host and board decide alike: both follow rules.py, and tests compare
firmware/core/model/gguf_hparams.c with this module over headers of every kind. A key is refused for
its effect, never for being there.
"""

from __future__ import annotations

from dataclasses import dataclass
from reprlib import repr as short_repr

import numpy as np

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import rules
from edgeprof.shared.models.gguf_header import Header, TensorInfo
from edgeprof.shared.models.gguf_values import BOOL, Value
from edgeprof.shared.models.rules import Real, Whole
from edgeprof.shared.models.tensor_types import to_float32


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Hyperparameters (`tlep_hparams` of firmware/core/model/gguf.h)."""

    n_vocab: int
    n_ctx: int
    dim: int
    hidden: int
    n_layers: int
    n_heads: int
    n_heads_kv: int
    head_dim: int
    rope_dim: int
    rms_eps: float
    rope_base: float
    tied_output: bool

    @property
    def kv_dim(self) -> int:
        """Width of one position's keys, and of its values."""
        return self.n_heads_kv * self.head_dim


def read_shape(header: Header) -> LlamaShape:
    """Return the hyperparameters of a llama that passed gguf_kind.check().

    Raises ModelError that names the key, its value, and what is wrong with it.
    """
    _check_neutrals(header)
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None:
        raise ModelError("tensor 'token_embd.weight' is missing", code="missing")
    n_ctx = _whole(header, rules.CONTEXT)
    dim = _whole(header, rules.WIDTH)
    n_heads = _whole(header, rules.HEADS)
    n_heads_kv = _whole(header, rules.HEADS_KV, n_heads)
    if dim % n_heads or n_heads % n_heads_kv:
        raise ModelError(
            f"{n_heads} heads, {n_heads_kv} for keys and values, do not divide width {dim}",
            code="malformed",
        )
    head_dim = dim // n_heads
    if head_dim % 2:
        raise ModelError(
            f"a head is {head_dim} wide (width {dim}, {n_heads} heads): odd, but pairs are rotated",
            code="malformed",
        )
    for rule in (rules.KEY_LENGTH, rules.VALUE_LENGTH):
        length = _whole(header, rule, head_dim)
        if length != head_dim:
            raise _no_plain_llama(
                rule.key, length, f"it must be {head_dim}, the width {dim} through {n_heads} heads"
            )
    rope_dim = _whole(header, rules.ROTATED, head_dim)
    if rope_dim % 2 or rope_dim > head_dim:
        raise ModelError(
            f"{rules.ROTATED.key} is {rope_dim}, not an even number up to {head_dim}",
            code="malformed",
        )
    _check_attention(header, n_ctx, head_dim)
    return LlamaShape(
        n_vocab=_whole(header, rules.VOCABULARY, embedding.rows),
        n_ctx=n_ctx,
        dim=dim,
        hidden=_whole(header, rules.HIDDEN),
        n_layers=_whole(header, rules.LAYERS),
        n_heads=n_heads,
        n_heads_kv=n_heads_kv,
        head_dim=head_dim,
        rope_dim=rope_dim,
        rms_eps=_real(header, rules.EPSILON, None),
        rope_base=_real(header, rules.FREQUENCY_BASE, rules.DEFAULT_FREQUENCY_BASE),
        tied_output="output.weight" not in header.tensors,
    )


def check_tensors(header: Header, s: LlamaShape) -> None:
    """Raise ModelError unless there are exactly the tensors that the forward pass reads."""
    expected = _expected(s, tied=s.tied_output)
    for name, want in expected.items():
        info = header.tensors.get(name)
        if info is None:
            raise ModelError(f"tensor {name!r} is missing", code="missing")
        _check_shape(info, want)
    factors = header.tensors.get(rules.FREQUENCY_FACTORS)
    if factors is not None:
        _check_shape(factors, (s.rope_dim // 2,))
    extra = sorted(set(header.tensors) - set(expected) - {rules.FREQUENCY_FACTORS})
    if extra:
        raise ModelError(
            f"tensor {extra[0]!r} is no part of a plain llama: the boards would ignore it",
            code="architecture",
        )


def check_frequency_factors(header: Header, data: bytes) -> None:
    """Raise ModelError unless all factors of the rotation's frequencies are 1, if there are any."""
    info = header.tensors.get(rules.FREQUENCY_FACTORS)
    if info is None:
        return
    raw = np.frombuffer(data, np.uint8, info.n_bytes, info.offset)
    factors = to_float32(raw.reshape(1, -1), info.ggml_type).reshape(-1)
    other = np.flatnonzero(factors != 1)
    if len(other):
        raise ModelError(
            f"tensor {info.name!r} divides frequency {other[0]} of the rotation by"
            f" {factors[other[0]]:g}: the boards would not",
            code="architecture",
        )


def _expected(s: LlamaShape, *, tied: bool) -> dict[str, tuple[int, ...]]:
    expected: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (s.dim, s.n_vocab),
        "output_norm.weight": (s.dim,),
    }
    if not tied:
        expected["output.weight"] = (s.dim, s.n_vocab)
    for layer in range(s.n_layers):
        for name, ne in {
            "attn_norm": (s.dim,),
            "attn_q": (s.dim, s.dim),
            "attn_k": (s.dim, s.kv_dim),
            "attn_v": (s.dim, s.kv_dim),
            "attn_output": (s.dim, s.dim),
            "ffn_norm": (s.dim,),
            "ffn_gate": (s.dim, s.hidden),
            "ffn_up": (s.dim, s.hidden),
            "ffn_down": (s.hidden, s.dim),
        }.items():
            expected[f"blk.{layer}.{name}.weight"] = ne
    return expected


def _check_shape(info: TensorInfo, want: tuple[int, ...]) -> None:
    # Trailing dimensions of 1 change nothing; the reader drops them.
    if want not in (info.ne, (*info.ne, 1)):
        raise ModelError(
            f"tensor {info.name!r} has shape {list(info.ne)}, its hyperparameters say {list(want)}",
            code="malformed",
        )


def _check_neutrals(header: Header) -> None:
    """Refuse the keys that change what llama computes, by their values."""
    unscaled = _scaling_is_none(header)
    for rule in rules.NEUTRALS if unscaled else (*rules.SCALING_FACTORS, *rules.NEUTRALS):
        item = header.metadata.get(rule.key)
        if item is not None and _number(item) not in rule.values:
            raise _no_plain_llama(rule.key, item.value, rule.effect)


def _check_attention(header: Header, n_ctx: int, head_dim: int) -> None:
    """Refuse attention over fewer positions, or with another scale, than the boards compute."""
    window = header.metadata.get(rules.SLIDING_WINDOW_KEY)
    if window is not None:
        value = _number(window)
        if value is None or not (value == 0 or value >= n_ctx):
            raise _no_plain_llama(
                rules.SLIDING_WINDOW_KEY,
                window.value,
                f"less than the context of {n_ctx}: old tokens would be forgotten",
            )
    scale = header.metadata.get(rules.ATTENTION_SCALE_KEY)
    if scale is not None:
        value = _number(scale)
        if value is None or (value != 0 and not _is_root(value, head_dim)):
            raise _no_plain_llama(
                rules.ATTENTION_SCALE_KEY,
                scale.value,
                f"not 1 through the root of {head_dim}: attention would be scaled otherwise",
            )


def _is_root(scale: np.float32, head_dim: int) -> bool:
    with np.errstate(over="ignore"):
        off = scale * scale * np.float32(head_dim) - np.float32(1)
    return bool(scale > 0 and abs(off) <= np.float32(rules.SCALE_TOLERANCE))


def _scaling_is_none(header: Header) -> bool:
    item = header.metadata.get(rules.SCALING_TYPE_KEY)
    if item is None or item.value == "linear":  # by the factor, 1 unless there is one
        return False
    if item.value != "none":
        raise _no_plain_llama(rules.SCALING_TYPE_KEY, item.value, "positions would be scaled")
    return True


def _no_plain_llama(key: str, value: object, effect: str) -> ModelError:
    return ModelError(
        f"{key} is {short_repr(value)}: {effect}, and the boards compute a plain llama",
        code="architecture",
        hint="convert a model without it",
    )


def _number(item: Value) -> np.float32 | None:
    """Return the nearest float32 of a scalar, as the board does; None for strings and arrays."""
    if isinstance(item.value, str | list):
        return None
    with np.errstate(over="ignore"):
        return np.float32(item.value)


def _whole(header: Header, rule: Whole, default: int | None = None) -> int:
    item = header.metadata.get(rule.key)
    if item is None:
        if default is None:
            raise ModelError(f"metadata key {rule.key!r} is missing", code="missing")
        return default
    value = item.value
    if not isinstance(value, int) or isinstance(value, bool) or not rule.low <= value <= rule.high:
        raise ModelError(
            f"{rule.key} is {short_repr(value)}, not an integer from {rule.low} to {rule.high}",
            code="malformed",
        )
    return value


def _real(header: Header, rule: Real, default: float | None) -> float:
    item = header.metadata.get(rule.key)
    if item is None:
        if default is None:
            raise ModelError(f"metadata key {rule.key!r} is missing", code="missing")
        return default
    value = None if item.type == BOOL else _number(item)
    if value is None or not rule.low < value < rule.high:
        raise ModelError(
            f"{rule.key} is {short_repr(item.value)}, not a number above {rule.low:g} and below"
            f" {rule.high:g}",
            code="malformed",
        )
    return float(value)
