"""A model's special tokens: the one that begins a text, and those that end it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from edgeprof.shared.models.file import ConvertibleModel

#: End of sequence, of a turn, of a message: llama.cpp ends a generation at each.
_ENDS: Final = ("eos_token_id", "eot_token_id", "eom_token_id")


def bos_token(model: ConvertibleModel) -> int | None:
    """Return the token that begins a text, or None where the model has none."""
    return _token(model, "bos_token_id")


def ended_at(model: ConvertibleModel, tokens: Sequence[int]) -> int | None:
    """Return how many tokens came before the first that ends a text; None when none does."""
    ends = {token for key in _ENDS if (token := _token(model, key)) is not None}
    return next((index for index, token in enumerate(tokens) if token in ends), None)


def _token(model: ConvertibleModel, key: str) -> int | None:
    value = model.meta(f"tokenizer.ggml.{key}")
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value < model.shape.n_vocab else None
