"""Writes an imported llama as a GGUF: its numbers, its tensors and its tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.models.finite import check_values
from edgeprof.shared.models.source import write_source
from edgeprof.shared.models.writing import write_gguf
from edgeprof.shared.types.model import ModelSource
from edgeprof.shared.types.wire import MAX_FILE_BYTES

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """A llama's numbers under our names."""

    n_vocab: int
    n_ctx: int
    dim: int
    hidden: int
    n_layers: int
    n_heads: int
    n_heads_kv: int
    rms_eps: float = 1e-5
    rope_base: float = 10000.0

    @property
    def kv_dim(self) -> int:
        """Width of one position's keys, and of its values."""
        return self.dim // self.n_heads * self.n_heads_kv

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes (rows, columns) of the tensors of each layer, by their GGUF name."""
        dim, hidden = self.dim, self.hidden
        return {
            "attn_norm": (dim,), "attn_q": (dim, dim), "attn_k": (self.kv_dim, dim),
            "attn_v": (self.kv_dim, dim), "attn_output": (dim, dim), "ffn_norm": (dim,),
            "ffn_gate": (hidden, dim), "ffn_up": (hidden, dim), "ffn_down": (dim, hidden),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class TokenTable:
    """A tokenizer as it is in a GGUF. `kind` is "llama" (with scores) or "gpt2" (with merges)."""

    kind: str
    tokens: list[bytes]
    types: list[int]
    scores: list[float] = field(default_factory=list)
    merges: list[str] = field(default_factory=list)
    pre: str | None = None
    ids: Mapping[str, int] = field(default_factory=dict)
    """Special tokens: of bos, eos, eot and unk, those that there are."""
    add_bos: bool = False
    add_eos: bool = False
    add_space_prefix: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """The written model, and notes for the user."""

    model: ModelFile
    notes: tuple[str, ...]


def write_llama(
    out: Path,
    name: str,
    numbers: Hyperparameters,
    tensors: Callable[[str], F32 | None],
    table: TokenTable,
    source: ModelSource,
) -> ModelFile:
    """Write the model; `tensors` gives each by its GGUF name, and None for a tied output head."""

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        write_source(writer, source)
        writer.add_vocab_size(numbers.n_vocab)
        writer.add_context_length(numbers.n_ctx)
        writer.add_embedding_length(numbers.dim)
        writer.add_block_count(numbers.n_layers)
        writer.add_feed_forward_length(numbers.hidden)
        writer.add_head_count(numbers.n_heads)
        writer.add_head_count_kv(numbers.n_heads_kv)
        writer.add_rope_dimension_count(numbers.dim // numbers.n_heads)
        writer.add_rope_freq_base(numbers.rope_base)
        writer.add_layer_norm_rms_eps(numbers.rms_eps)
        _add_table(writer, table)
        names = ["token_embd", "output_norm", "output"]
        names += [
            f"blk.{i}.{part}" for i in range(numbers.n_layers) for part in numbers.layer_shapes()
        ]
        for tensor in names:
            values = tensors(tensor)
            if values is not None:
                _check(source.file, f"{tensor}.weight", values)
                writer.add_tensor(f"{tensor}.weight", np.ascontiguousarray(values, np.float32))

    return write_gguf(out, fill)


def _check(file: str, name: str, values: F32) -> None:
    """Refuse weights that are not finite, while the source file can still be named."""
    try:
        check_values(name, values)
    except ModelError as error:
        raise ModelError(f"{file}: {error}", code=error.code, hint=error.hint) from None


def _add_table(writer: gguf.GGUFWriter, table: TokenTable) -> None:
    writer.add_tokenizer_model(table.kind)
    if table.pre is not None:
        writer.add_tokenizer_pre(table.pre)
    writer.add_token_list(table.tokens)
    writer.add_token_types(table.types)
    if table.scores:
        writer.add_token_scores(table.scores)
    if table.merges:
        writer.add_token_merges(table.merges)
    for name, token in table.ids.items():
        getattr(writer, f"add_{name}_token_id")(token)
    writer.add_add_bos_token(table.add_bos)
    writer.add_add_eos_token(table.add_eos)
    writer.add_add_space_prefix(table.add_space_prefix)


def refused(
    path: Path, problem: str, *, code: str = "malformed", hint: str | None = None
) -> ModelError:
    """Return the error for a file that cannot be imported."""
    return ModelError(f"{path}: {problem}", code=code, hint=hint)


def read_file(path: Path) -> bytes:
    """Read a file. Raises ModelError that names it, also for a Git LFS pointer."""
    try:
        if path.exists() and not path.is_file():  # a pipe or device may never end
            raise refused(path, "not a regular file", code="unreadable")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise refused(
                path, f"{path.stat().st_size} bytes is more than any board holds", code="too_big"
            )
        data = path.read_bytes()
    except OSError as error:
        raise refused(path, f"cannot read: {error.strerror}", code="unreadable") from error
    if data.startswith(b"version https://git-lfs"):
        raise refused(
            path, "this is a Git LFS pointer, not the file itself", code="lfs_pointer",
            hint="fetch the file: git lfs pull, or download it again",
        )  # fmt: skip
    return data
