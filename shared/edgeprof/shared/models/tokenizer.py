"""Text to token ids and back, by the GGUF's own tokenizer: llama (SentencePiece) or gpt2 (BPE)."""

from __future__ import annotations

import math
from reprlib import repr as short_repr
from typing import TypeVar

import regex

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.byte_pair import BytePair
from edgeprof.shared.models.file import ConvertibleModel
from edgeprof.shared.models.sentence_piece import SPACE, SentencePiece
from edgeprof.shared.models.token_splits import DEFAULT, SPLITS
from edgeprof.shared.models.tokenizer_base import BYTE, NORMAL, Tokenizer, Vocabulary

__all__ = ["MAX_PIECE", "SPACE", "BytePair", "SentencePiece", "Tokenizer", "tokenizer_of"]

#: Longest piece: twice the longest in use (128 spaces). 4096 tokens of a megabyte each are no text.
MAX_PIECE = 256
_BYTE_PIECE = regex.compile(r"<0x[0-9A-Fa-f]{2}>")
#: llama.cpp's ids where a file names none: (beginning, end).
_DEFAULT_IDS = {"llama": (1, 2), "gpt2": (11, 11)}

T = TypeVar("T", int, float, str)


def tokenizer_of(model: ConvertibleModel) -> Tokenizer:
    """Build the tokenizer that a model carries.

    Raises ModelError "tokenizer", whose hint is to pass token ids, when it has none that we know.
    """
    kind = model.meta("tokenizer.ggml.model")
    pieces = _items(model, "tokenizer.ggml.tokens", str)
    if kind not in ("llama", "gpt2") or len(pieces) != model.shape.n_vocab:
        raise _unknown(model, f"tokenizer {short_repr(kind)} with {len(pieces)} tokens")
    types = _items(model, "tokenizer.ggml.token_type", int) or [NORMAL] * len(pieces)
    if len(types) != len(pieces):
        raise _unknown(model, f"tokenizer with {len(pieces)} tokens but {len(types)} types")
    if max(map(len, pieces), default=0) > MAX_PIECE:
        raise _unknown(model, f"tokenizer with a token of more than {MAX_PIECE} characters")
    for piece, token_type in zip(pieces, types, strict=True):
        if token_type == BYTE and not _BYTE_PIECE.fullmatch(piece):
            raise _unknown(model, f"tokenizer whose byte token is {short_repr(piece)}")
    if kind == "llama":
        scores = _items(model, "tokenizer.ggml.scores", float)
        if len(scores) != len(pieces):
            raise _unknown(model, "SentencePiece tokenizer without scores")
        if any(map(math.isnan, scores)):
            raise _unknown(model, "SentencePiece tokenizer with a score that is no number")
        return SentencePiece(
            _vocabulary(model, "llama", pieces, types, add_bos=True),
            scores,
            add_space_prefix=_flag(model, "add_space_prefix", default=True),
        )
    pre = model.meta("tokenizer.ggml.pre") or "default"
    if not isinstance(pre, str) or pre not in SPLITS:
        raise _unknown(model, f"pre-tokenizer {short_repr(pre)}")
    merges = _items(model, "tokenizer.ggml.merges", str)
    split = SPLITS[pre]
    vocabulary = _vocabulary(model, "gpt2", pieces, types, add_bos=split.add_bos)
    tokenizer = BytePair(vocabulary, merges, split)
    if split is DEFAULT:
        tokenizer.note = (
            "the file names no pre-tokenizer (tokenizer.ggml.pre): text is split by llama.cpp's"
            " default rule, which may not be how the model was trained"
        )
    return tokenizer


def _vocabulary(
    model: ConvertibleModel, kind: str, pieces: list[str], types: list[int], *, add_bos: bool
) -> Vocabulary:
    bos_id, eos_id = (
        _id(model, name, default, len(pieces))
        for name, default in zip(("bos", "eos"), _DEFAULT_IDS[kind], strict=True)
    )
    return Vocabulary(
        pieces,
        types,
        bos_id if _flag(model, "add_bos_token", default=add_bos) else None,
        eos_id if _flag(model, "add_eos_token", default=False) else None,
    )


def _id(model: ConvertibleModel, name: str, default: int, n: int) -> int | None:
    """Return a special token's id: the file's if it is one of a token, else the default's."""
    value = model.meta(f"tokenizer.ggml.{name}_token_id")
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < n
    if known:
        return int(value)  # type: ignore[arg-type]
    return default if default < n else None


def _flag(model: ConvertibleModel, name: str, *, default: bool) -> bool:
    """Return a flag by its value: other writers than llama.cpp's store it as a number."""
    value = model.meta(f"tokenizer.ggml.{name}")
    return bool(value) if isinstance(value, int | float) else default


def _items(model: ConvertibleModel, key: str, kind: type[T]) -> list[T]:
    """Return an array's items; none when the key is absent or its items are of another kind."""
    value = model.meta(key)
    items = value if isinstance(value, list) else []
    return [item for item in items if isinstance(item, kind)]


def _unknown(model: ConvertibleModel, what: str) -> ModelError:
    return ModelError(
        f"{model.path.name}: {what} is not supported",
        code="tokenizer",
        hint="pass token ids instead: --prompt-tokens 1,2,3",
    )
