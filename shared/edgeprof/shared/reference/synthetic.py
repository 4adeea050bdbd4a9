"""Small random llama GGUFs, written with the gguf package, for tests and kernel benchmarks only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType


@dataclass(frozen=True, slots=True)
class SyntheticLlama:
    """Shape and types of a random model. `output_type` None ties the head to the embedding."""

    dim: int = 64
    hidden: int = 96
    n_layers: int = 2
    n_heads: int = 8
    n_heads_kv: int = 4
    n_vocab: int = 128
    n_ctx: int = 64
    rope_dim: int | None = None
    matrix_type: GGMLQuantizationType = GGMLQuantizationType.F32
    embedding_type: GGMLQuantizationType | None = None
    output_type: GGMLQuantizationType | None = None
    seed: int = 0

    def write(self, path: Path) -> Path:
        """Write the model to `path` and return it. The same fields give the same bytes."""
        writer = gguf.GGUFWriter(path, "llama")
        head_dim = self.dim // self.n_heads
        writer.add_context_length(self.n_ctx)
        writer.add_embedding_length(self.dim)
        writer.add_feed_forward_length(self.hidden)
        writer.add_block_count(self.n_layers)
        writer.add_head_count(self.n_heads)
        writer.add_head_count_kv(self.n_heads_kv)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_rope_dimension_count(head_dim if self.rope_dim is None else self.rope_dim)
        writer.add_vocab_size(self.n_vocab)
        writer.add_tokenizer_model("llama")
        writer.add_token_list([f"t{i}".encode() for i in range(self.n_vocab)])
        rng = np.random.default_rng(self.seed)

        def add(name: str, rows: int, n: int, kind: GGMLQuantizationType) -> None:
            weights = rng.normal(0.0, n**-0.5, (rows, n)).astype(np.float32)
            writer.add_tensor(name, gguf.quants.quantize(weights, kind), raw_dtype=kind)

        def add_norm(name: str) -> None:
            writer.add_tensor(name, rng.uniform(0.5, 1.5, self.dim).astype(np.float32))

        kv_dim = head_dim * self.n_heads_kv
        add("token_embd.weight", self.n_vocab, self.dim, self.embedding_type or self.matrix_type)
        for i in range(self.n_layers):
            add_norm(f"blk.{i}.attn_norm.weight")
            add(f"blk.{i}.attn_q.weight", self.dim, self.dim, self.matrix_type)
            add(f"blk.{i}.attn_k.weight", kv_dim, self.dim, self.matrix_type)
            add(f"blk.{i}.attn_v.weight", kv_dim, self.dim, self.matrix_type)
            add(f"blk.{i}.attn_output.weight", self.dim, self.dim, self.matrix_type)
            add_norm(f"blk.{i}.ffn_norm.weight")
            add(f"blk.{i}.ffn_gate.weight", self.hidden, self.dim, self.matrix_type)
            add(f"blk.{i}.ffn_up.weight", self.hidden, self.dim, self.matrix_type)
            add(f"blk.{i}.ffn_down.weight", self.dim, self.hidden, self.matrix_type)
        add_norm("output_norm.weight")
        if self.output_type is not None:
            add("output.weight", self.n_vocab, self.dim, self.output_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path
