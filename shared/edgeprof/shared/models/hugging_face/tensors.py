"""The weights of a Hugging Face folder: safetensors, whole or in shards, as GGUF's tensors."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from pathlib import Path

import numpy as np
from gguf.utility import LocalTensor, SafetensorsLocal

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.finite import narrowed
from edgeprof.shared.models.hugging_face.config import Config, read_json
from edgeprof.shared.models.llama_writing import F32, refused
from edgeprof.shared.types.wire import MAX_FILE_BYTES

_WHOLE = "model.safetensors"
_INDEX = "model.safetensors.index.json"
#: GGUF name -> Hugging Face name, the layers' inside model.layers.N.
_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
#: Old exports have the frequencies of RoPE, which follow from rope_theta.
_COMPUTED = "rotary_emb.inv_freq"
_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


class Weights:
    """The tensors of a folder, checked against its configuration, by their GGUF names."""

    def __init__(self, folder: Path, config: Config) -> None:
        self._config = config
        self._folder = folder
        self._found = _open(folder)
        self._shapes = self._expected()
        self._check()

    def read(self, name: str) -> F32 | None:
        """Return a tensor as float32 in ggml's order, or None for the head of tied embeddings."""
        if name == "output" and self.tied:
            return None
        values = self._values(self._hf_name(name))
        part = name.rpartition(".")[2]
        n = self._config.numbers
        heads = {"attn_q": n.n_heads, "attn_k": n.n_heads_kv}.get(part)
        return values if heads is None else permuted(values, heads)

    @property
    def tied(self) -> bool:
        """Whether the head is the embedding."""
        return "lm_head.weight" not in self._shapes

    @property
    def type_name(self) -> str:
        """The type of most weights."""
        counts: Counter[str] = Counter()
        for name in self._shapes:
            counts[self._found[name].dtype] += math.prod(self._found[name].shape)
        return counts.most_common(1)[0][0]

    def sha256(self) -> str:
        """Return the hash of the file's bytes, or of all shards in the order of their names."""
        digest = hashlib.sha256()
        for path in sorted({Path(tensor.data_range.filename) for tensor in self._found.values()}):
            digest.update(path.read_bytes())
        return digest.hexdigest()

    def _expected(self) -> dict[str, tuple[int, ...]]:
        n = self._config.numbers
        shapes: dict[str, tuple[int, ...]] = {}
        for name in ("token_embd", "output_norm", "output"):
            norm = name == "output_norm"
            shapes[self._hf_name(name)] = (n.dim,) if norm else (n.n_vocab, n.dim)
        for layer in range(n.n_layers):
            for name, shape in n.layer_shapes().items():
                shapes[self._hf_name(f"blk.{layer}.{name}")] = shape
        head, embedding = "lm_head.weight", "model.embed_tokens.weight"
        if self._config.tied is True or (self._config.tied is None and head not in self._found):
            del shapes[head]
            if head in self._found and not self._same(head, embedding):
                raise refused(
                    self._config.path,
                    "tie_word_embeddings is true, but lm_head.weight is not the embedding",
                    hint="set it to false where the model was trained with a head of its own",
                )
        return shapes

    def _same(self, one: str, other: str) -> bool:
        same = other in self._found and np.array_equal(self._values(one), self._values(other))
        return bool(same)

    def _check(self) -> None:
        for name, want in self._shapes.items():
            tensor = self._found.get(name)
            if tensor is None:
                raise refused(self._folder, f"tensor {name!r} is missing", code="missing")
            if tuple(tensor.shape) != want:
                raise refused(
                    tensor.data_range.filename,
                    f"tensor {name!r} is {list(tensor.shape)}, config.json says {list(want)}",
                )
        size = 4 * sum(math.prod(shape) for shape in self._shapes.values())
        if size > MAX_FILE_BYTES:
            raise refused(
                self._folder, f"{size} bytes as F32 is more than any board holds", code="too_big"
            )
        for name in sorted(set(self._found) - set(self._shapes)):
            if name.endswith(_COMPUTED) or name == "lm_head.weight":
                continue
            bias = name.endswith(".bias")
            if bias and not self._values(name).any():
                continue  # adds nothing
            key = "mlp_bias" if ".mlp." in name else "attention_bias"
            raise refused(
                self._found[name].data_range.filename,
                f"tensor {name!r} is no part of a plain llama: the boards would ignore it"
                + (f" ({key} in config.json)" if bias else ""),
                code="architecture",
            )

    def _hf_name(self, name: str) -> str:
        if name.startswith("blk."):
            _, layer, part = name.split(".")
            return f"model.layers.{layer}.{_NAMES[part]}.weight"
        return f"{_NAMES[name]}.weight"

    def _values(self, name: str) -> F32:
        tensor = self._found[name]
        raw = np.fromfile(
            tensor.data_range.filename,
            np.uint8,
            tensor.data_range.size,
            offset=tensor.data_range.offset,
        )
        if tensor.dtype == "BF16":  # the upper half of a float32
            values = (raw.view("<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = raw.view({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[tensor.dtype])
        try:
            return narrowed(name, values).reshape(tensor.shape)
        except ModelError as error:
            raise refused(
                tensor.data_range.filename, str(error), code=error.code, hint=error.hint
            ) from None


def permuted(weights: F32, n_heads: int) -> F32:
    """Return query or key rows in the order of ggml's NORM RoPE.

    Hugging Face rotates a head's first half against its second; ggml rotates neighbours.
    """
    rows, columns = weights.shape
    halves = weights.reshape(n_heads, 2, rows // n_heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _open(folder: Path) -> dict[str, LocalTensor]:
    if (folder / _WHOLE).is_file():
        return _tensors(folder / _WHOLE)
    shards = read_json(folder / _INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise refused(folder / _INDEX, "it has no weight_map")
    files = sorted({str(name) for name in shards.values()})
    found: dict[str, LocalTensor] = {}
    for name in files:
        path = folder / name
        if path.parent != folder or not path.is_file():
            raise refused(
                folder, f"shard {name!r}, which {_INDEX} names, is not there", code="missing",
                hint="download the whole folder again",
            )  # fmt: skip
        found |= _tensors(path)
    return found


def _tensors(path: Path) -> dict[str, LocalTensor]:
    """Return where each tensor of a file is; the header's offsets are checked."""
    with path.open("rb") as file:
        if file.read(8) == b"version ":
            raise refused(
                path, "this is a Git LFS pointer, not the file itself", code="lfs_pointer",
                hint="fetch the file: git lfs pull, or download it again",
            )  # fmt: skip
    try:
        found: dict[str, LocalTensor] = SafetensorsLocal(path).tensors
        for name, tensor in found.items():
            _check_place(path, name, tensor)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise refused(
            path, f"not a whole safetensors file ({type(error).__name__}: {error})",
            hint="download the file again",
        ) from None  # fmt: skip
    return found


def _check_place(path: Path, name: str, tensor: LocalTensor) -> None:
    if tensor.dtype not in _ITEM_BYTES:
        raise _of_type(path, name, tensor)
    place = tensor.data_range
    if min(*tensor.shape, place.offset, place.size) < 0:
        raise refused(path, f"tensor {name!r} has an impossible shape or place")
    if place.size != math.prod(tensor.shape) * _ITEM_BYTES[tensor.dtype]:
        raise refused(path, f"tensor {name!r} has {place.size} bytes, its shape says otherwise")
    end, size = place.offset + place.size, path.stat().st_size
    if end > size:
        raise refused(
            path, f"truncated: tensor {name!r} ends at byte {end}, the file at {size}",
            code="truncated", hint="download the file again",
        )  # fmt: skip


def _of_type(path: Path, name: str, tensor: LocalTensor) -> ModelError:
    known = ", ".join(_ITEM_BYTES)
    return refused(
        path, f"tensor {name!r} is of type {tensor.dtype}; imported are {known}",
        code="tensor_type", hint="import the unquantised model",
    )  # fmt: skip
