"""The forward pass of `firmware/core/model/llama.c` in numpy, many positions at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import JobError, ModelError
from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.models.shape import LlamaShape
from edgeprof.shared.reference import arithmetic
from edgeprof.shared.reference.arithmetic import F32
from edgeprof.shared.reference.weights import Matrix, load_matrix
from edgeprof.shared.types.model import KvType

#: Positions computed together; it bounds the memory of attention's temporaries, and changes no bit.
_CHUNK: Final = 64


class _Layer:
    """Weights of one transformer block."""

    def __init__(self, model: ModelFile, index: int) -> None:
        s = model.shape
        kv_dim = s.n_heads_kv * s.head_dim
        prefix = f"blk.{index}."
        self.attn_norm = _norm(model, f"{prefix}attn_norm.weight")
        self.q = _matrix(model, f"{prefix}attn_q.weight", s.dim, s.dim)
        self.k = _matrix(model, f"{prefix}attn_k.weight", kv_dim, s.dim)
        self.v = _matrix(model, f"{prefix}attn_v.weight", kv_dim, s.dim)
        self.attn_output = _matrix(model, f"{prefix}attn_output.weight", s.dim, s.dim)
        self.ffn_norm = _norm(model, f"{prefix}ffn_norm.weight")
        self.gate = _matrix(model, f"{prefix}ffn_gate.weight", s.hidden, s.dim)
        self.up = _matrix(model, f"{prefix}ffn_up.weight", s.hidden, s.dim)
        self.down = _matrix(model, f"{prefix}ffn_down.weight", s.dim, s.hidden)


class _Cache:
    """Keys and values of one run, per layer (position, kv head, head_dim), rounded, as float32."""

    def __init__(self, shape: LlamaShape, positions: int, kv_type: KvType) -> None:
        size = (shape.n_layers, positions, shape.n_heads_kv, shape.head_dim)
        self.keys = np.zeros(size, np.float32)
        self.values = np.zeros(size, np.float32)
        self._half = kv_type is KvType.F16

    def store(self, layer: int, first: int, keys: F32, values: F32) -> None:
        """Round rows to the cache's type and keep them."""
        for cache, rows in ((self.keys, keys), (self.values, values)):
            kept = rows.astype(np.float16).astype(np.float32) if self._half else rows
            cache[layer, first : first + len(rows)] = kept


class Reference:
    """A model, loaded to compute the right answers of a board.

    Every method starts from an empty KV cache. Raises ModelError for a tensor type without a
    kernel, and "not_finite" for a model whose numbers overflow; JobError for tokens or positions
    that the model does not have.
    """

    def __init__(self, model: ModelFile) -> None:
        s = self._shape = model.shape
        self._embedding = _matrix(model, "token_embd.weight", s.n_vocab, s.dim)
        self._output_norm = _norm(model, "output_norm.weight")
        self._output = (
            self._embedding
            if model.raw_tensor("output.weight") is None
            else _matrix(model, "output.weight", s.n_vocab, s.dim)
        )
        self._layers = [_Layer(model, i) for i in range(s.n_layers)]
        pair = np.arange(s.rope_dim // 2, dtype=np.float32) * np.float32(2)
        log_base = arithmetic.log(np.array([s.rope_base], np.float32))
        self._inverse_frequencies = arithmetic.exp(-((pair / np.float32(s.rope_dim)) * log_base))

    def greedy(
        self, prompt_tokens: Sequence[int], n_gen: int, n_ctx: int, kv_type: KvType = KvType.F16
    ) -> list[int]:
        """Return the n_gen tokens that follow the prompt: highest logit, lowest id on a tie."""
        positions = len(prompt_tokens) + n_gen - 1
        self._check(prompt_tokens, n_ctx, positions)
        cache = _Cache(self._shape, positions, kv_type)  # the rest of n_ctx is memory of the board
        # only
        hidden = self._run(list(prompt_tokens), 0, cache)[-1:]
        generated: list[int] = []
        for position in range(len(prompt_tokens), len(prompt_tokens) + n_gen):
            generated.append(int(self._head(hidden, position - 1)[0].argmax()))
            if len(generated) < n_gen:
                hidden = self._run(generated[-1:], position, cache)
        return generated

    def logits(self, tokens: Sequence[int], kv_type: KvType = KvType.F16) -> F32:
        """Return the logits after each of the tokens: (len(tokens), n_vocab)."""
        self._check(tokens, self._shape.n_ctx, len(tokens))
        cache = _Cache(self._shape, len(tokens), kv_type)
        return self._head(self._run(list(tokens), 0, cache), 0)

    def check_finite(
        self, prompt_tokens: Sequence[int], generated: Sequence[int], kv_type: KvType = KvType.F16
    ) -> None:
        """Repeat the computation of a run with these tokens, greedy or not.

        Raises ModelError "not_finite" where its numbers overflow.
        """
        tokens = [*prompt_tokens, *generated[:-1]]
        self._check(tokens, self._shape.n_ctx, len(tokens))
        hidden = self._run(tokens, 0, _Cache(self._shape, len(tokens), kv_type))
        for first in range(len(prompt_tokens) - 1, len(tokens), _CHUNK):
            self._head(hidden[first : first + _CHUNK], first)

    def score(
        self, tokens: Sequence[int], kv_type: KvType = KvType.F16
    ) -> tuple[list[float], list[int]]:
        """Teacher-forced scores of tokens 1..n-1: (log-likelihoods in nats, most likely ids)."""
        logits = self.logits(tokens, kv_type)[:-1]
        with _quiet():
            likelihoods = arithmetic.log_softmax(logits, np.asarray(tokens[1:], np.int64))
        _check_finite(likelihoods, "log-likelihoods", 1)
        return [float(x) for x in likelihoods], [int(i) for i in logits.argmax(axis=1)]

    def _check(self, tokens: Sequence[int], n_ctx: int, positions: int) -> None:
        if not tokens:
            raise JobError("the prompt is empty: at least one token is needed", code="empty_prompt")
        if positions > n_ctx or n_ctx > self._shape.n_ctx:
            raise JobError(
                f"prompt and generated tokens fill {positions} positions; the context asked for has"
                f" {n_ctx}, the model was trained for {self._shape.n_ctx}",
                code="context",
            )
        for token in tokens:
            if not 0 <= token < self._shape.n_vocab:
                raise JobError(
                    f"token {token} is not in the vocabulary (0 to {self._shape.n_vocab - 1})",
                    code="token",
                )

    def _run(self, tokens: list[int], first: int, cache: _Cache) -> F32:
        """Run tokens from position `first` on; returns the residual stream (len(tokens), dim)."""
        chunks = [
            self._run_chunk(np.asarray(tokens[i : i + _CHUNK], np.int64), first + i, cache)
            for i in range(0, len(tokens), _CHUNK)
        ]
        return np.concatenate(chunks)

    def _run_chunk(self, tokens: npt.NDArray[np.int64], first: int, cache: _Cache) -> F32:
        with _quiet():
            return self._run_layers(tokens, first, cache)

    def _run_layers(self, tokens: npt.NDArray[np.int64], first: int, cache: _Cache) -> F32:
        x = self._embedding.rows(tokens)
        positions = np.arange(first, first + len(tokens)).astype(np.float32)
        sin, cos = arithmetic.sin_cos(positions[:, None] * self._inverse_frequencies[None, :])
        for index, layer in enumerate(self._layers):
            h = self._rms_norm(x, layer.attn_norm, first)
            q = self._rotate(self._heads(layer.q.matvec(h)), sin, cos)
            k = self._rotate(self._heads(layer.k.matvec(h)), sin, cos)
            cache.store(index, first, k, self._heads(layer.v.matvec(h)))
            last = first + len(tokens)
            for rows in (cache.keys[index, first:last], cache.values[index, first:last]):
                _check_finite(rows, f"cached keys or values of layer {index}", first)
            attended = self._attend(q, cache.keys[index, :last], cache.values[index, :last], first)
            x = x + layer.attn_output.matvec(attended)
            h = self._rms_norm(x, layer.ffn_norm, first)
            gate = layer.gate.matvec(h)
            gated = (gate / (np.float32(1) + arithmetic.exp(-gate))) * layer.up.matvec(h)
            x = x + layer.down.matvec(gated)
        return x

    def _head(self, x: F32, first: int) -> F32:
        with _quiet():
            logits = self._output.matvec(self._rms_norm(x, self._output_norm, first))
        _check_finite(logits, "logits", first)
        return logits

    def _rms_norm(self, x: F32, weight: F32, first: int) -> F32:
        mean = arithmetic.ordered_sum((x * x).T) / np.float32(x.shape[1])
        # A square that overflows makes the output zero, which looks sound.
        _check_finite(mean, "squares before a norm", first)
        scale = np.float32(1) / np.sqrt(mean + np.float32(self._shape.rms_eps))
        normed: F32 = (x * scale[:, None]) * weight
        return normed

    def _heads(self, x: F32) -> F32:
        return x.reshape(len(x), -1, self._shape.head_dim)

    def _rotate(self, heads: F32, sin: F32, cos: F32) -> F32:
        """Rotate adjacent pairs of the first rope_dim elements of each head (section 5)."""
        n = self._shape.rope_dim
        a, b = heads[:, :, 0:n:2], heads[:, :, 1:n:2]
        sin, cos = sin[:, None, :], cos[:, None, :]
        rotated = heads.copy()
        rotated[:, :, 0:n:2] = a * cos - b * sin
        rotated[:, :, 1:n:2] = a * sin + b * cos
        return rotated

    def _attend(self, q: F32, keys: F32, values: F32, first: int) -> F32:
        """Causal attention of queries from `first` on over all cached rows: (positions, dim)."""
        group = self._shape.n_heads // self._shape.n_heads_kv
        scale = np.float32(1) / np.sqrt(np.float32(self._shape.head_dim))
        shared_keys = np.repeat(keys, group, axis=1).transpose(2, 1, 0)  # (head_dim, head, past)
        terms = q.transpose(2, 0, 1)[:, :, :, None] * shared_keys[:, None, :, :]
        scores = arithmetic.ordered_sum(terms) * scale  # (position, head, past)
        past = np.arange(keys.shape[0])
        seen = (past[None, :] <= np.arange(first, first + len(q))[:, None])[:, None, :]
        _check_finite(np.where(seen, scores, np.float32(0)), "attention scores", first)
        largest = np.where(seen, scores, -np.inf).max(axis=2, keepdims=True)
        # Positions not yet seen weigh exactly zero; adding zero changes no bit.
        weights = np.where(
            seen, arithmetic.exp(np.where(seen, scores - largest, np.float32(0))), np.float32(0)
        )
        inverse = np.float32(1) / arithmetic.ordered_sum(weights.transpose(2, 0, 1))
        shared_values = np.repeat(values, group, axis=1)  # (past, head, head_dim)
        weighted = weights.transpose(2, 0, 1)[:, :, :, None] * shared_values[:, None, :, :]
        mixed = arithmetic.sequential_sum(weighted) * inverse[:, :, None]
        return mixed.reshape(len(q), -1)


def _quiet() -> AbstractContextManager[None]:
    """Silence numpy's warnings: overflows are found and raised by name."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def _check_finite(values: F32, what: str, first: int) -> None:
    """Raise ModelError unless all are finite; the first axis is the position, from `first` on."""
    finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if not finite.all():
        raise ModelError(
            f"the model's numbers overflow: its {what} at position"
            f" {first + int(finite.argmin())} are not finite",
            code="not_finite",
            hint="every board computes the same: its weights are too large"
            + (", or the KV cache too narrow (F32 is the widest)" if "cached" in what else ""),
        )


def _matrix(model: ModelFile, name: str, rows: int, n: int) -> Matrix:
    ggml_type, raw = _required(model, name)
    return load_matrix(raw, ggml_type, rows, n)


def _norm(model: ModelFile, name: str) -> F32:
    return _required(model, name)[1].view("<f4")


def _required(model: ModelFile, name: str) -> tuple[int, npt.NDArray[np.uint8]]:
    found = model.raw_tensor(name)
    if found is None:
        raise ModelError(f"the model has no tensor {name}", code="missing")
    return found
