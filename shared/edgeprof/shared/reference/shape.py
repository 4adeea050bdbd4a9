"""The numbers that make a llama."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Hyperparameters of a llama (`tlep_hparams` in `firmware/core/gguf.h`)."""

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
