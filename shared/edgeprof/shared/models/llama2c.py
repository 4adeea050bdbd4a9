"""Import of llama2.c checkpoints (version 0 .bin plus tokenizer .bin) as GGUF.

Their weights are in ggml's NORM rope order already, so nothing is permuted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.file import ModelFile
from edgeprof.shared.models.tokenizer import SPACE
from edgeprof.shared.models.writing import write_gguf

_HEADER = struct.Struct("<7i")


@dataclass(frozen=True, slots=True)
class Imported:
    """The written model, and what was changed to write it."""

    model: ModelFile
    notes: tuple[str, ...]


def import_checkpoint(checkpoint: Path, tokenizer: Path, out: Path, name: str) -> Imported:
    """Convert; raises ModelError naming the file that is not what it should be."""
    data, vocabulary = _read(checkpoint), _read(tokenizer)
    if len(data) < _HEADER.size:
        raise ModelError(f"{checkpoint}: too short for a llama2.c checkpoint", code="truncated")
    dim, hidden, layers, heads, kv_heads, vocab, n_ctx = _HEADER.unpack_from(data)
    tied, vocab = vocab > 0, abs(vocab)
    sane = all(
        0 < value <= 1 << 20 for value in (dim, hidden, layers, heads, kv_heads, vocab, n_ctx)
    )
    if not sane or dim % heads or heads % max(kv_heads, 1) or layers > 128:
        raise ModelError(
            f"{checkpoint}: its header makes no sense; is it a llama2.c version 0 checkpoint?",
            code="malformed",
        )
    head_dim = dim // heads
    kv_dim = kv_heads * head_dim
    weights = np.frombuffer(data, "<f4", offset=_HEADER.size, count=(len(data) - _HEADER.size) // 4)
    at = 0

    def take(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        nonlocal at
        n = int(np.prod(shape, dtype=np.int64))
        if at + n > len(weights):
            raise ModelError(f"{checkpoint}: truncated", code="truncated")
        at += n
        return weights[at - n : at].reshape(shape).astype(np.float32)

    embedding, attn_norm = take(vocab, dim), take(layers, dim)
    q, k, v = take(layers, dim, dim), take(layers, kv_dim, dim), take(layers, kv_dim, dim)
    o, ffn_norm = take(layers, dim, dim), take(layers, dim)
    gate, down, up = take(layers, hidden, dim), take(layers, dim, hidden), take(layers, hidden, dim)
    final_norm = take(dim)
    take(n_ctx, head_dim // 2)  # two RoPE tables, which everybody computes anew
    take(n_ctx, head_dim // 2)
    output = None if tied else take(vocab, dim)

    def fill(writer: gguf.GGUFWriter) -> None:
        writer.add_name(name)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)
        writer.add_vocab_size(vocab)
        writer.add_context_length(n_ctx)
        writer.add_embedding_length(dim)
        writer.add_block_count(layers)
        writer.add_feed_forward_length(hidden)
        writer.add_head_count(heads)
        writer.add_head_count_kv(kv_heads)
        writer.add_rope_dimension_count(head_dim)
        writer.add_layer_norm_rms_eps(1e-5)
        _add_tokenizer(writer, vocabulary, vocab, tokenizer)
        writer.add_tensor("token_embd.weight", embedding)
        writer.add_tensor("output_norm.weight", final_norm)
        if output is not None:
            writer.add_tensor("output.weight", output)
        for i in range(layers):
            parts = {
                "attn_norm": attn_norm, "attn_q": q, "attn_k": k, "attn_v": v, "attn_output": o,
                "ffn_norm": ffn_norm, "ffn_gate": gate, "ffn_up": up, "ffn_down": down,
            }  # fmt: skip
            for part, tensor in parts.items():
                writer.add_tensor(f"blk.{i}.{part}.weight", np.ascontiguousarray(tensor[i]))

    return Imported(write_gguf(out, fill, sources=(checkpoint, tokenizer)), ())


def _add_tokenizer(writer: gguf.GGUFWriter, data: bytes, vocab: int, path: Path) -> None:
    """llama2.c's tokenizer.bin: i32 longest piece, then for each token f32 score, i32 length, bytes."""
    pieces: list[bytes] = []
    scores: list[float] = []
    at = 4
    try:
        for _ in range(vocab):
            score, n = struct.unpack_from("<fi", data, at)
            (piece,) = struct.unpack_from(f"{n if 0 <= n <= 1024 else -1}s", data, at + 8)
            pieces.append(piece)
            scores.append(score)
            at += 8 + n
    except struct.error:
        raise ModelError(
            f"{path}: not a llama2.c tokenizer of {vocab} tokens", code="malformed"
        ) from None
    # ids 0-2 are <unk>, <s>, </s>, and 3-258 the bytes, in every llama2.c vocabulary
    fixed = [("<unk>", gguf.TokenType.UNKNOWN), ("<s>", gguf.TokenType.CONTROL)]
    fixed += [("</s>", gguf.TokenType.CONTROL)]
    fixed += [(f"<0x{byte:02X}>", gguf.TokenType.BYTE) for byte in range(256)]
    if vocab < len(fixed):
        raise ModelError(f"{path}: {vocab} tokens are too few to spell any byte", code="malformed")
    text = [piece.replace(b" ", SPACE.encode()) for piece in pieces[len(fixed) :]]
    tokens = [name.encode() for name, _ in fixed] + text
    types = [kind for _, kind in fixed] + [gguf.TokenType.NORMAL] * len(text)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types([int(t) for t in types])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(True)
    writer.add_add_space_prefix(True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read: {error.strerror}", code="unreadable") from error
