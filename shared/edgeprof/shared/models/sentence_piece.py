"""SentencePiece's byte-pair tokenizer (tokenizer.ggml.model "llama")."""

from __future__ import annotations

from edgeprof.shared.models.token_merging import merged
from edgeprof.shared.models.tokenizer_base import BYTE, Tokenizer, Vocabulary, unspellable

SPACE = "\u2581"


class SentencePiece(Tokenizer):
    """Merges the best-scoring adjacent pair until none is left. Spells unknown text as bytes."""

    def __init__(
        self, vocabulary: Vocabulary, scores: list[float], *, add_space_prefix: bool
    ) -> None:
        super().__init__(vocabulary)
        self._scores = scores
        self._prefix = SPACE if add_space_prefix else ""
        self._byte_ids = {
            int(piece[3:5], 16): i for i, piece in enumerate(self._pieces) if self._types[i] == BYTE
        }

    def _encode(self, text: str, *, after_token: bool) -> list[int]:
        prefix = self._prefix if after_token else ""
        symbols = merged(prefix + text.replace(" ", SPACE), self._rank)
        return [token for symbol in symbols for token in self._ids_of(symbol)]

    def _rank(self, left: str, right: str) -> float | None:
        token = self._index.get(left + right)
        return None if token is None else -self._scores[token]

    def _ids_of(self, symbol: str) -> list[int]:
        token = self._index.get(symbol)
        if token is not None:
            return [token]
        ids = [self._byte_id(byte) for byte in symbol.encode("utf-8", errors="surrogateescape")]
        known = [token for token in ids if token is not None]
        if len(known) < len(ids):
            raise unspellable(symbol.replace(SPACE, " "))
        return known

    def _byte_id(self, byte: int) -> int | None:
        """Return a byte's token: of type BYTE, else named <0xNN>, else a piece of that byte."""
        found = self._byte_ids.get(byte, self._index.get(f"<0x{byte:02X}>"))
        raw = bytes([byte]).decode("utf-8", errors="surrogateescape")
        return self._index.get(raw) if found is None else found

    def _bytes_of(self, token: int) -> bytes:
        piece = self._pieces[token]
        if self._types[token] == BYTE:
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode("utf-8", errors="surrogateescape")

    def _finish(self, text: str) -> str:
        return text[1:] if self._prefix and text.startswith(" ") else text
