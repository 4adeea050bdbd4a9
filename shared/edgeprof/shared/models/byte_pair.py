"""GPT-2's byte-level byte-pair tokenizer (tokenizer.ggml.model "gpt2")."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.models.token_merging import merged
from edgeprof.shared.models.token_splits import Split
from edgeprof.shared.models.tokenizer_base import Tokenizer, Vocabulary, unspellable


class BytePair(Tokenizer):
    """Split into words, then merge by rank.

    Text that no token spells is an error. llama.cpp drops such bytes from the prompt silently.
    """

    def __init__(self, vocabulary: Vocabulary, merges: Sequence[str], split: Split) -> None:
        super().__init__(vocabulary)
        self._split = split
        self._ranks: dict[tuple[str, str], int] = {}
        for rank, merge in enumerate(merges):
            # A merge's first half is never empty, so a space at its beginning belongs to it.
            left, _, right = merge[1:].partition(" ")
            self._ranks.setdefault((merge[:1] + left, right), rank)
        self._char_of = byte_characters()
        self._byte_of = {char: byte for byte, char in self._char_of.items()}

    def _encode(self, text: str, *, after_token: bool) -> list[int]:
        del after_token  # no space is put first
        ids: list[int] = []
        for word in self._split.words(text):
            encoded = word.encode("utf-8", errors="surrogateescape")
            spelled = "".join(self._char_of[byte] for byte in encoded)
            whole = self._split.ignore_merges and spelled in self._index
            ids += [self._index[spelled]] if whole else self.merged_ids(spelled)
        return ids

    def merged_ids(self, spelled: str) -> list[int]:
        """Token ids of one word, given in the characters that stand for its bytes."""
        symbols = merged(spelled, self._rank)
        return [token for symbol in symbols for token in self._ids_of(symbol)]

    def _rank(self, left: str, right: str) -> float | None:
        return self._ranks.get((left, right))

    def _ids_of(self, symbol: str) -> list[int]:
        if symbol in self._index:
            return [self._index[symbol]]
        for char in symbol:
            if char not in self._index:
                text = bytes(self._byte_of[c] for c in symbol)
                raise unspellable(text.decode("utf-8", errors="backslashreplace"))
        return [self._index[char] for char in symbol]

    def _bytes_of(self, token: int) -> bytes:
        piece = self._pieces[token]
        if all(char in self._byte_of for char in piece):
            return bytes(self._byte_of[char] for char in piece)
        return piece.encode("utf-8", errors="surrogateescape")


def byte_characters() -> dict[int, str]:
    """GPT-2's reversible map of bytes to printable characters."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(256 + i) for i, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    return table
