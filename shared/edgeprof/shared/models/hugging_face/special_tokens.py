"""Reads a model's special tokens: tokenizer_config.json, tokenizer.json, config.json."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import SpecialVocab

from edgeprof.shared.models.llama_writing import refused

#: gguf warns about settings that it ignores. We report those ourselves, so hide its warnings.
logging.getLogger("gguf.vocab").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids by name (bos, eos, eot, unk), and which of them are added to a text."""

    ids: dict[str, int]
    add_bos: bool | None
    add_eos: bool | None


def special_tokens(
    folder: Path, config: Mapping[str, Any], generation: Mapping[str, Any], n_vocab: int
) -> SpecialTokens:
    """Read them as llama.cpp's converter does. `config`, then `generation`, give missing ids."""
    try:
        vocab = SpecialVocab(folder, n_vocab=n_vocab)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise refused(
            folder, f"its tokenizer files make no sense ({type(error).__name__}: {error})"
        ) from None
    ids = {name: token for name, token in vocab.special_token_ids.items() if name in _KNOWN}
    for name in ("bos", "eos"):
        for source in (config, generation):
            for token in _ids(source.get(f"{name}_token_id"), n_vocab):
                ids.setdefault(name, token)
                if name == "eos" and token != ids["eos"]:
                    ids.setdefault("eot", token)  # a second token that ends a generation
    return SpecialTokens(
        ids, vocab.add_special_token.get("bos"), vocab.add_special_token.get("eos")
    )


_KNOWN = {"bos", "eos", "eot", "unk"}


def _ids(value: object, n_vocab: int) -> list[int]:
    """Return the ids in a value that is one id or a list of them."""
    items = value if isinstance(value, list) else [value]
    return [i for i in items if isinstance(i, int) and not isinstance(i, bool) and 0 <= i < n_vocab]
