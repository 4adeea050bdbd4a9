"""A model file that was read and checked: what it is, and its weights as they lie in the file."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.jobs import ModelRef, ModelSource, Quantization
from edgeprof.shared.models.finite import check_weights
from edgeprof.shared.models.gguf_header import Header, Scalar, TensorInfo, parse
from edgeprof.shared.models.reading import read_settled
from edgeprof.shared.models.shape import (
    LlamaShape,
    check_frequency_factors,
    check_tensors,
    read_shape,
)
from edgeprof.shared.models.source import name_of, source_of

_LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True)
class ModelFile:
    """A checked llama GGUF. Made by open(); holds the file's bytes."""

    path: Path
    sha256: str
    name: str
    source: ModelSource
    shape: LlamaShape
    quantization: Quantization
    header: Header
    data: bytes

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Read and check a file; raises ModelError naming the file and what is wrong with it."""
        path = Path(path)
        data = read_settled(path)
        try:
            header = parse(memoryview(data))
            shape = read_shape(header)
            check_tensors(header, shape)
            check_frequency_factors(header, data)
            check_weights(header, data)
        except ModelError as error:
            raise ModelError(f"{path}: {error}", code=error.code, hint=error.hint) from None
        sha256, quantization = hashlib.sha256(data).hexdigest(), _label(header)
        return cls(
            path=path,
            sha256=sha256,
            name=name_of(path),
            source=source_of(header.metadata, path, sha256, quantization),
            shape=shape,
            quantization=quantization,
            header=header,
            data=data,
        )

    @property
    def size_bytes(self) -> int:
        """Size of the file, which is what a board must hold."""
        return len(self.data)

    @cached_property
    def n_params(self) -> int:
        """Number of weights in all tensors."""
        return sum(tensor.n_elements for tensor in self.header.tensors.values())

    @property
    def ref(self) -> ModelRef:
        """How a job names this model."""
        return ModelRef(
            name=self.name,
            sha256=self.sha256,
            size_bytes=self.size_bytes,
            quantization=self.quantization,
            n_params=self.n_params,
            n_ctx_train=self.shape.n_ctx,
            n_vocab=self.shape.n_vocab,
            source=self.source,
        )

    def raw_tensor(self, name: str) -> tuple[int, npt.NDArray[np.uint8]] | None:
        """Return (ggml type, bytes) of a tensor, or None if the file has no such tensor."""
        info = self.header.tensors.get(name)
        if info is None:
            return None
        raw = np.frombuffer(self.data, np.uint8, info.n_bytes, info.offset)
        return info.ggml_type, raw

    def meta(self, key: str) -> Scalar | list[Scalar] | None:
        """Return a metadata value, or None if it is absent."""
        value = self.header.metadata.get(key)
        return None if value is None else value.value


def is_linear(info: TensorInfo) -> bool:
    """Whether a tensor is a weight matrix inside a layer (not the embedding, not a norm)."""
    return any(info.name.endswith(f".{part}.weight") for part in _LAYER_MATRICES)


def _label(header: Header) -> Quantization:
    """llama-bench's label: the type of most linear weights."""
    counts: Counter[Quantization] = Counter()
    for info in header.tensors.values():
        if is_linear(info):
            counts[info.quantization] += info.n_elements
    return counts.most_common(1)[0][0]
