"""A model file that was read and checked: what it is, and its weights as they lie in the file."""

from __future__ import annotations

import hashlib
import math
import shlex
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from reprlib import repr as short_repr

import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.jobs import ModelRef, ModelSource, Quantization
from edgeprof.shared.models import not_a_model, padding
from edgeprof.shared.models.gguf_header import Header, Scalar, TensorInfo, parse
from edgeprof.shared.models.reading import read_settled
from edgeprof.shared.models.source import name_of, source_of
from edgeprof.shared.models.tensor_types import BLOCK

_LAYER_MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


@dataclass(frozen=True, slots=True)
class LlamaShape:
    """Hyperparameters (`tlep_hparams` of firmware/core/gguf.h)."""

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

        Raises ModelError naming the file and what is wrong with it.
        """
        path = Path(path)
        data = read_settled(path)
        try:
            header = parse(memoryview(data))
            not_a_model.check(header, path)
            shape = _shape(header)
            _check_tensors(header, shape)
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
        """Size of the file, which is what a board must hold."""
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


def is_linear(info: TensorInfo) -> bool:
    """Whether a tensor is a weight matrix inside a layer (not the embedding, not a norm)."""
    return any(info.name.endswith(f".{part}.weight") for part in _LAYER_MATRICES)


def _label(header: Header) -> str:
    """llama-bench's label: the type of most linear weights."""
    counts: Counter[str] = Counter()
    for info in header.tensors.values():
        if is_linear(info):
            counts[info.type_name] += info.n_elements
    return counts.most_common(1)[0][0]


def _obstacle(header: Header) -> str | None:
    """Why no board can run the file as it is, or None."""
    for info in header.tensors.values():
        if len(info.ne) == 1 and info.quantization is not Quantization.F32:
            return f"norm {info.name!r} is {info.type_name}, and boards read norms as F32 only"
        if info.quantization is None:
            return f"tensor {info.name!r} is {info.type_name}, which no board has a kernel for"
    return None


def _int(header: Header, key: str, low: int, high: int, default: int | None = None) -> int:
    item = header.metadata.get(key)
    value = default if item is None else item.value
    if value is None:
        raise ModelError(f"metadata key {key!r} is missing", code="missing")
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ModelError(
            f"{key} is {short_repr(value)}, not between {low} and {high}", code="malformed"
        )
    return value


def _float(header: Header, key: str, default: float | None) -> float:
    item = header.metadata.get(key)
    value = default if item is None else item.value
    if value is None:
        raise ModelError(f"metadata key {key!r} is missing", code="missing")
    if not isinstance(value, float) or not math.isfinite(value) or value <= 0:
        raise ModelError(f"{key} is {short_repr(value)}, not a positive number", code="malformed")
    return value


def _shape(header: Header) -> LlamaShape:
    embedding = header.tensors.get("token_embd.weight")
    if embedding is None or len(embedding.ne) != 2:
        raise ModelError("tensor 'token_embd.weight' is missing", code="missing")
    dim = _int(header, "llama.embedding_length", 1, 65536)
    n_heads = _int(header, "llama.attention.head_count", 1, 1024)
    n_heads_kv = _int(header, "llama.attention.head_count_kv", 1, n_heads, n_heads)
    if dim % n_heads or n_heads % n_heads_kv:
        raise ModelError(
            f"{n_heads} heads, {n_heads_kv} for keys and values, do not divide width {dim}",
            code="malformed",
        )
    head_dim = dim // n_heads
    rope_dim = _int(header, "llama.rope.dimension_count", 2, head_dim, head_dim)
    if rope_dim % 2:
        raise ModelError(
            f"llama.rope.dimension_count is {rope_dim}, which is odd", code="malformed"
        )
    for key in header.metadata:
        if key.startswith(("llama.rope.scaling", "llama.expert")):
            raise ModelError(
                f"{key!r} is set: the boards' forward pass would ignore it", code="architecture"
            )
    return LlamaShape(
        n_vocab=_int(header, "llama.vocab_size", 1, 1 << 20, embedding.rows),
        n_ctx=_int(header, "llama.context_length", 1, 1 << 20),
        dim=dim,
        hidden=_int(header, "llama.feed_forward_length", 1, 1 << 20),
        n_layers=_int(header, "llama.block_count", 1, 128),
        n_heads=n_heads,
        n_heads_kv=n_heads_kv,
        head_dim=head_dim,
        rope_dim=rope_dim,
        rms_eps=_float(header, "llama.attention.layer_norm_rms_epsilon", None),
        rope_base=_float(header, "llama.rope.freq_base", 10000.0),
        tied_output="output.weight" not in header.tensors,
    )


def _check_tensors(header: Header, s: LlamaShape) -> None:
    """Each tensor that the forward pass reads must be there with its shape, and no other may be."""
    expected = {"token_embd.weight": (s.dim, s.n_vocab), "output_norm.weight": (s.dim,)}
    if not s.tied_output:
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
    for name, want in expected.items():
        info = header.tensors.get(name)
        if info is None:
            raise ModelError(f"tensor {name!r} is missing", code="missing")
        if info.ne != want:
            raise ModelError(
                f"tensor {name!r} has shape {list(info.ne)}, its hyperparameters say {list(want)}",
                code="malformed",
            )
    extra = sorted(set(header.tensors) - set(expected))
    if extra:
        raise ModelError(
            f"tensor {extra[0]!r} is no part of a plain llama: the boards would ignore it",
            code="architecture",
        )
