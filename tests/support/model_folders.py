"""Tiny Hugging Face folders of our own making, and their network as Hugging Face defines it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeprof.shared.models.byte_pair import byte_characters

F64 = npt.NDArray[np.float64]
Tensors = dict[str, npt.NDArray[Any]]

DIM, HIDDEN, LAYERS, HEADS, KV_HEADS, N_CTX = 32, 40, 2, 4, 2, 32
MERGES = ["h e", "l l", "he ll", "hell o", "\u0120 t", "\u0120t he"]
#: GPT-2's order: bytes, then what the merges make.
ALPHABET = [byte_characters()[byte] for byte in range(256)]
PIECES = [*ALPHABET, *(merge.replace(" ", "") for merge in MERGES)]
BOS, EOS, SEP = len(PIECES), len(PIECES) + 1, len(PIECES) + 2
VOCAB = len(PIECES) + 3
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": DIM,
    "intermediate_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS, "max_position_embeddings": N_CTX, "vocab_size": VOCAB,
    "rms_norm_eps": 1e-5, "rope_theta": 5000.0, "hidden_act": "silu", "tie_word_embeddings": False,
    "bos_token_id": BOS, "eos_token_id": EOS,
}  # fmt: skip
TOKENIZER: dict[str, Any] = {
    "added_tokens": [
        {"id": BOS, "content": "<s>", "special": True},
        {"id": EOS, "content": "</s>", "special": True},
        {"id": SEP, "content": "<sep>", "special": False},
    ],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
    "post_processor": None,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {p: i for i, p in enumerate(PIECES)}, "merges": MERGES},
}


def tensors(seed: int = 3) -> Tensors:
    """Random weights under Hugging Face's names."""
    rng = np.random.default_rng(seed)
    kv_dim = DIM // HEADS * KV_HEADS
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens": (VOCAB, DIM), "model.norm": (DIM,), "lm_head": (VOCAB, DIM),
    }  # fmt: skip
    for i in range(LAYERS):
        for name, shape in {
            "input_layernorm": (DIM,), "self_attn.q_proj": (DIM, DIM),
            "self_attn.k_proj": (kv_dim, DIM), "self_attn.v_proj": (kv_dim, DIM),
            "self_attn.o_proj": (DIM, DIM), "post_attention_layernorm": (DIM,),
            "mlp.gate_proj": (HIDDEN, DIM), "mlp.up_proj": (HIDDEN, DIM),
            "mlp.down_proj": (DIM, HIDDEN),
        }.items():  # fmt: skip
            shapes[f"model.layers.{i}.{name}"] = shape
    return {
        f"{name}.weight": rng.normal(1.0 if len(shape) == 1 else 0.0, 0.3, shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_safetensors(
    path: Path, weights: Mapping[str, npt.NDArray[Any]], dtype: str = "F32"
) -> None:
    """Write the published format: header length, JSON header, data."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, values in weights.items():
        raw = encoded(values, dtype)
        place = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": place}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def encoded(values: npt.NDArray[Any], dtype: str) -> bytes:
    """The bytes of float32 values in a type of safetensors; BF16 by cutting."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return values.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "i1"}[dtype]).tobytes()


def write_folder(
    folder: Path,
    *,
    weights: Tensors | None = None,
    dtype: str = "F32",
    tokenizer: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """Write a whole folder; keys of `config` replace those of CONFIG, None removes one."""
    folder.mkdir(parents=True, exist_ok=True)
    merged = {k: v for k, v in {**CONFIG, **config}.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(merged))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer or TOKENIZER))
    write_safetensors(folder / "model.safetensors", weights or tensors(), dtype)
    return folder


def logits(weights: Tensors, tokens: Sequence[int], theta: float = 5000.0) -> F64:
    """Logits by the formulas of transformers' Llama: rotate_half, repeated KV heads."""
    w = {name: values.astype(np.float64) for name, values in weights.items()}
    n, head_dim = len(tokens), DIM // HEADS
    angles = np.arange(n)[:, None] * theta ** (-np.arange(0, head_dim, 2) / head_dim)[None, :]
    cos, sin = (np.concatenate([f(angles)] * 2, axis=1)[:, None, :] for f in (np.cos, np.sin))

    def norm(x: F64, name: str) -> F64:
        scaled: F64 = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + 1e-5) * w[f"{name}.weight"]
        return scaled

    def rotated(x: F64) -> F64:
        half = head_dim // 2
        turned: F64 = x * cos + np.concatenate([-x[..., half:], x[..., :half]], axis=2) * sin
        return turned

    x: F64 = w["model.embed_tokens.weight"][list(tokens)]
    for i in range(LAYERS):
        layer = f"model.layers.{i}"
        h = norm(x, f"{layer}.input_layernorm")
        q, k, v = (
            (h @ w[f"{layer}.self_attn.{part}_proj.weight"].T).reshape(n, -1, head_dim)
            for part in "qkv"
        )
        q, k = rotated(q), rotated(k)
        k, v = (np.repeat(a, HEADS // KV_HEADS, axis=1) for a in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(head_dim)
        scores += np.triu(np.full((n, n), -np.inf), k=1)
        p = np.exp(scores - scores.max(axis=2, keepdims=True))
        p /= p.sum(axis=2, keepdims=True)
        attended = np.einsum("hqk,khd->qhd", p, v).reshape(n, DIM)
        x = x + attended @ w[f"{layer}.self_attn.o_proj.weight"].T
        h = norm(x, f"{layer}.post_attention_layernorm")
        gate, up = (h @ w[f"{layer}.mlp.{part}_proj.weight"].T for part in ("gate", "up"))
        x = x + (gate / (1 + np.exp(-gate)) * up) @ w[f"{layer}.mlp.down_proj.weight"].T
    out: F64 = norm(x, "model.norm") @ w.get("lm_head.weight", w["model.embed_tokens.weight"]).T
    return out
