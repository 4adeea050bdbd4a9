"""The tokens and merges of a tokenizer.json."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from edgeprof.shared.models.tokenizer_base import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
)

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
#: Names that llama.cpp's converter takes for control tokens, whatever the file says.
_LOOKS_SPECIAL = re.compile(r"<pad>|<mask>|<2mass>|\[@BOS@\]|<\|.*\|>|<\uff5c.*\uff5c>|<unused.*>")
MAX_VOCAB = 1 << 20


@dataclass(frozen=True, slots=True)
class Vocab:
    """Pieces and types by id, and the ids that the tokenizer itself names."""

    pieces: list[str]
    types: list[int]
    ids: dict[str, int]

    def normal(self) -> Iterator[tuple[int, str]]:
        """Yield id and text of the tokens that text is spelled with."""
        for token, (piece, kind) in enumerate(zip(self.pieces, self.types, strict=True)):
            if kind == NORMAL:
                yield token, piece


def read_vocab(file: dict[str, Any]) -> Vocab:
    """Return the tokens with their types; ids that no token has are marked unused."""
    model = file["model"]
    by_id: dict[int, tuple[str, int]] = {}
    for piece, token in model["vocab"].items():
        byte = model.get("byte_fallback") and _BYTE.fullmatch(piece)
        by_id[int(token)] = (piece, BYTE if byte else NORMAL)
    for added in file.get("added_tokens") or []:
        by_id[int(added["id"])] = added_piece(
            str(added["content"]), special=bool(added.get("special"))
        )
    n = max(by_id, default=-1) + 1
    if n > MAX_VOCAB or min(by_id, default=0) < 0:
        raise ValueError(f"token ids up to {n}")
    filled = [by_id.get(i, (f"[PAD{i}]", UNUSED)) for i in range(n)]
    pieces, types = [piece for piece, _ in filled], [kind for _, kind in filled]
    ids: dict[str, int] = {}
    unknown = model.get("unk_token")
    if unknown in pieces:
        ids["unk"] = pieces.index(unknown)
        if model.get("byte_fallback"):
            types[ids["unk"]] = UNKNOWN
    return Vocab(pieces, types, ids)


def added_piece(text: str, *, special: bool) -> tuple[str, int]:
    """Return text and type of an added token, as llama.cpp's converter writes them."""
    if special or _LOOKS_SPECIAL.fullmatch(text):
        return text, CONTROL
    return text.replace("\u2581", " "), USER_DEFINED


def merge_pairs(merges: list[Any]) -> list[tuple[str, str]]:
    """Return the merges in either form that the file has had: "a b", or ["a", "b"]."""
    pairs: list[tuple[str, str]] = []
    for merge in merges:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        pairs.append((str(left), str(right)))
    return pairs


def merge_scores(vocab: Vocab, pairs: list[tuple[str, str]]) -> tuple[list[float], bool]:
    """Return SentencePiece scores that merge in the order of the merges; whether exactly.

    SentencePiece merges any two pieces that make a third. A merge list may have fewer pairs, or
    rank the pairs of one piece differently; one that was made from a SentencePiece model does
    neither.
    """
    listed: dict[tuple[str, str], int] = {}
    for rank, pair in enumerate(pairs):
        listed.setdefault(pair, rank)
    ranks: dict[str, list[int]] = defaultdict(list)
    for pair, rank in listed.items():
        ranks["".join(pair)].append(rank)
    known = {piece for _, piece in vocab.normal()}
    splits = ((piece[:i], piece[i:]) for piece in known for i in range(1, len(piece)))
    exact = all(pair in listed for pair in splits if pair[0] in known and pair[1] in known)
    end = -1
    for places in sorted(ranks.values()):
        exact &= places[0] > end
        end = places[-1]
    lowest = -float(len(pairs))
    return [-float(ranks[p][0]) if p in ranks else lowest for p in vocab.pieces], exact
