"""The same network in plain double precision, with which the board's arithmetic is compared.

It is written from the definition of llama and shares no code with `arithmetic` and `model`:
textbook softmax, numpy's own functions, weights dequantised by the gguf package, no quantised
activations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType
from gguf.quants import dequantize

from edgeprof.shared.models.file import ModelFile

F64 = npt.NDArray[np.float64]


def exact_logits(model: ModelFile, tokens: Sequence[int]) -> F64:
    """Return the logits after each token, (len(tokens), n_vocab), to double precision."""
    s = model.shape
    weights = _Weights(model)
    embedding = weights.matrix("token_embd.weight", s.n_vocab)
    head = (
        embedding
        if model.raw_tensor("output.weight") is None
        else weights.matrix("output.weight", s.n_vocab)
    )
    n = len(tokens)
    frequencies = s.rope_base ** (-np.arange(0, s.rope_dim, 2) / s.rope_dim)
    turn = np.exp(1j * np.arange(n)[:, None] * frequencies[None, :])[:, None, :]
    future = np.triu(np.full((n, n), -np.inf), k=1)
    x = embedding[list(tokens)]
    for i in range(s.n_layers):
        h = _rms_norm(x, weights.vector(f"blk.{i}.attn_norm.weight"), s.rms_eps)
        q, k, v = (
            (h @ weights.matrix(f"blk.{i}.attn_{name}.weight").T).reshape(n, -1, s.head_dim)
            for name in "qkv"
        )
        q, k = _rotate(q, turn), _rotate(k, turn)
        k, v = (np.repeat(a, s.n_heads // s.n_heads_kv, axis=1) for a in (k, v))
        scores = np.einsum("phd,thd->hpt", q, k) / np.sqrt(s.head_dim) + future
        p = np.exp(scores - scores.max(axis=2, keepdims=True))
        attended = np.einsum("hpt,thd->phd", p / p.sum(axis=2, keepdims=True), v).reshape(n, -1)
        x = x + attended @ weights.matrix(f"blk.{i}.attn_output.weight").T
        h = _rms_norm(x, weights.vector(f"blk.{i}.ffn_norm.weight"), s.rms_eps)
        gate, up = (h @ weights.matrix(f"blk.{i}.ffn_{name}.weight").T for name in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ weights.matrix(f"blk.{i}.ffn_down.weight").T
    logits: F64 = _rms_norm(x, weights.vector("output_norm.weight"), s.rms_eps) @ head.T
    return logits


class _Weights:
    def __init__(self, model: ModelFile) -> None:
        self._model = model

    def vector(self, name: str) -> F64:
        found = self._model.raw_tensor(name)
        assert found is not None, name
        ggml_type, raw = found
        return np.asarray(dequantize(raw, GGMLQuantizationType(ggml_type)), np.float64).reshape(-1)

    def matrix(self, name: str, rows: int | None = None) -> F64:
        """Shape (rows, n). Without `rows`, of a block matrix whose other side is dim or hidden."""
        s = self._model.shape
        columns = s.hidden if "ffn_down" in name else s.dim
        return self.vector(name).reshape(rows or -1, columns)


def _rms_norm(x: F64, weight: F64, eps: float) -> F64:
    normed: F64 = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + eps) * weight
    return normed


def _rotate(heads: F64, turn: npt.NDArray[np.complex128]) -> F64:
    """Turn adjacent pairs as complex numbers; elements past rope_dim stay."""
    n = 2 * turn.shape[2]
    turned = (heads[:, :, 0:n:2] + 1j * heads[:, :, 1:n:2]) * turn
    pairs = np.stack([turned.real, turned.imag], axis=-1).reshape(*heads.shape[:2], n)
    return np.concatenate([pairs, heads[:, :, n:]], axis=2)
