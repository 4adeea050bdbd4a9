"""A GGUF file as the reference wants it: the shape, and the raw bytes of each tensor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared.reference.shape import LlamaShape


class GgufFile:
    """A model that is already known to be sound; hostile files are `edgeprof.shared.models`' business."""

    def __init__(self, path: Path) -> None:
        reader = gguf.GGUFReader(path)
        self._tensors = {t.name: t for t in reader.tensors}

        def key(name: str, default: Any) -> Any:
            field = reader.fields.get(f"llama.{name}")
            return default if field is None else field.contents()

        dim = key("embedding_length", 0)
        n_heads = key("attention.head_count", 0)
        self.shape = LlamaShape(
            n_vocab=int(self._tensors["token_embd.weight"].shape[1]),
            n_ctx=key("context_length", 0),
            dim=dim,
            hidden=key("feed_forward_length", 0),
            n_layers=key("block_count", 0),
            n_heads=n_heads,
            n_heads_kv=key("attention.head_count_kv", n_heads),
            head_dim=dim // n_heads,
            rope_dim=key("rope.dimension_count", dim // n_heads),
            rms_eps=key("attention.layer_norm_rms_epsilon", 0.0),
            rope_base=key("rope.freq_base", 10000.0),
        )

    def raw_tensor(self, name: str) -> tuple[int, npt.NDArray[np.uint8]] | None:
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        return int(tensor.tensor_type), np.ascontiguousarray(tensor.data).reshape(-1).view(np.uint8)
