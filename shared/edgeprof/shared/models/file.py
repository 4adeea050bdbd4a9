"""A model file that was read and checked: what it is, and its weights as they lie in the file."""

from __future__ import annotations

import hashlib
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models import gguf_kind, padding
from edgeprof.shared.models.finite import check_weights
from edgeprof.shared.models.gguf_header import Header, TensorInfo, parse
from edgeprof.shared.models.gguf_values import Scalar
from edgeprof.shared.models.reading import read_settled
from edgeprof.shared.models.rules import FREQUENCY_FACTORS
from edgeprof.shared.models.shape import (
    LlamaShape,
    check_frequency_factors,
    check_tensors,
    read_shape,
)
from edgeprof.shared.models.source import name_of, source_of
from edgeprof.shared.models.tensor_types import BLOCK
from edgeprof.shared.types.model import ModelRef, ModelSource, Quantization

_LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True)
class ConvertibleModel:
    """A checked llama GGUF of any types that we can read. Holds the file's bytes."""

    path: Path
    sha256: str
    name: str
    source: ModelSource
    shape: LlamaShape
    #: None when no board can run it as it is.
    quantization: Quantization | None
    header: Header
    data: bytes

    @classmethod
    def open(cls, path: Path | str) -> ConvertibleModel:
        """Read and check a file: a ModelFile when boards can run it as it is.

        Raises ModelError that names the file and its fault.
        """
        path = Path(path)
        data = read_settled(path)
        try:
            header = parse(memoryview(data))
            gguf_kind.check(header, path)
            shape = read_shape(header)
            check_tensors(header, shape)
            check_frequency_factors(header, data)
            check_weights(header, data)
        except ModelError as error:
            raise ModelError(f"{path}: {error}", code=error.code, hint=error.hint) from None
        sha256, label = hashlib.sha256(data).hexdigest(), _label(header)
        source = source_of(header.metadata, path, sha256, label)
        if _obstacle(header):
            return ConvertibleModel(path, sha256, name_of(path), source, shape, None, header, data)
        return ModelFile(
            path, sha256, name_of(path), source, shape, Quantization(label), header, data
        )

    @property
    def label(self) -> str:
        """ggml's name of the type of most linear weights, as llama-bench labels a model."""
        return _label(self.header)

    @property
    def size_bytes(self) -> int:
        """Size of the file, all of which a board must store."""
        return len(self.data)

    @cached_property
    def true_hidden(self) -> int:
        """Width of the feed-forward layers without the zeros that quantize() padded them with."""
        return padding.true_hidden(self.header, self.data, self.shape.hidden)

    @cached_property
    def n_params(self) -> int:
        """Number of weights in all tensors, without padding."""
        padded = 3 * self.shape.dim * (self.shape.hidden - self.true_hidden) * self.shape.n_layers
        return sum(tensor.n_elements for tensor in self.header.tensors.values()) - padded

    def runnable(self) -> ModelFile:
        """Return this model if boards can run it; else raise ModelError that says what to do."""
        if isinstance(self, ModelFile):
            return self
        to = "q8_0" if self.shape.dim % BLOCK[Quantization.Q8_0] == 0 else "f16"
        out = shlex.quote(f"{self.path.stem}-{to}.gguf")
        raise ModelError(
            f"{self.path}: {_obstacle(self.header)}",
            code="tensor_type",
            hint=f"convert it: submit -q {to}, or"
            f" edgeprof models quantize {shlex.quote(str(self.path))} {to} -o {out}"
            f" (boards run {', '.join(BLOCK)})",
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


@dataclass(frozen=True)
class ModelFile(ConvertibleModel):
    """A checked llama GGUF whose every tensor is of a type that boards have a kernel for."""

    quantization: Quantization

    @classmethod
    def open(cls, path: Path | str) -> ModelFile:
        """Read and check a file; raises ModelError naming the file and what is wrong with it."""
        return ConvertibleModel.open(path).runnable()

    @cached_property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without the header of the file."""
        return sum(info.n_bytes for info in self.header.tensors.values())

    @cached_property
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


def is_linear(info: TensorInfo) -> bool:
    """Whether a tensor is a weight matrix inside a layer (not the embedding, not a norm)."""
    return any(info.name.endswith(f".{part}.weight") for part in _LAYER_MATRICES)


def _label(header: Header) -> str:
    """Return llama-bench's label: the type of most linear weights."""
    counts: Counter[str] = Counter()
    for info in header.tensors.values():
        if is_linear(info):
            counts[info.type_name] += info.n_elements
    return counts.most_common(1)[0][0]


def is_norm(info: TensorInfo) -> bool:
    """Whether a tensor is one that boards read as F32 only: a norm, or frequency factors."""
    return info.name.endswith("_norm.weight") or info.name == FREQUENCY_FACTORS


def _obstacle(header: Header) -> str | None:
    """Why no board can run the file as it is, or None."""
    for info in header.tensors.values():
        if is_norm(info) and info.quantization is not Quantization.F32:
            return f"tensor {info.name!r} is {info.type_name}, and boards read it as F32 only"
        if info.quantization is None:
            return f"tensor {info.name!r} is {info.type_name}, which no board has a kernel for"
    return None
