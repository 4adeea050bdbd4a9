"""The tokenizer of the reference models: byte-pair merges as SentencePiece scores (-rank)."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import gguf

VOCAB = 640
SPACE = "\u2581"  # how SentencePiece writes a space


def train_tokenizer(text: str) -> tuple[list[str], list[float], list[int]]:
    """Return pieces, scores and token types; merges never cross a word or a line."""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    types = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    types += [gguf.TokenType.BYTE] * 256
    words = Counter(split_words(text))
    parts = {word: list(word) for word in words}
    characters = sorted({c for word in words for c in word})
    n_merges = VOCAB - len(pieces) - len(characters)
    merges: list[str] = []
    while len(merges) < n_merges:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            symbols = parts[word]
            for pair in pairwise(symbols):
                pairs[pair] += count
        (left, right), _ = max(pairs.items(), key=lambda item: (item[1], item[0]))
        if left + right not in merges:
            merges.append(left + right)
        for word, symbols in parts.items():
            parts[word] = merge(symbols, left, right)
    pieces += merges + characters
    scores = [0.0] * 259 + [-float(rank) for rank in range(len(merges) + len(characters))]
    types += [gguf.TokenType.NORMAL] * (len(merges) + len(characters))
    return pieces, scores, [int(t) for t in types]


def split_words(text: str) -> list[str]:
    """Split into words that carry their leading space; line ends and punctuation stand alone."""
    words: list[str] = []
    for char in text.replace(" ", SPACE):
        previous = words[-1] if words else ""
        if char.isalpha() and (previous == SPACE or previous[-1:].isalpha()):
            words[-1] += char
        else:
            words.append(char)
    return words


def merge(symbols: list[str], left: str, right: str) -> list[str]:
    """Replace each adjacent (left, right) by their concatenation, from the left."""
    out: list[str] = []
    for symbol in symbols:
        if out and out[-1] == left and symbol == right:
            out[-1] = left + right
        else:
            out.append(symbol)
    return out


def encode(text: str, pieces: list[str], scores: list[float]) -> list[int]:
    """Encode as SentencePiece does: repeatedly merge the adjacent pair whose piece scores best."""
    index = {piece: i for i, piece in enumerate(pieces)}
    cache: dict[str, list[int]] = {}
    ids: list[int] = []
    for word in split_words(text):
        if word not in cache:
            symbols = list(word)
            while True:
                candidates = [
                    (scores[index[a + b]], -i, a, b)
                    for i, (a, b) in enumerate(pairwise(symbols))
                    if a + b in index
                ]
                if not candidates:
                    break
                _, _, left, right = max(candidates)
                symbols = merge(symbols, left, right)
            cache[word] = [index[s] for s in symbols]
        ids += cache[word]
    return ids
