"""Text to token ids and back, from the tokenizer inside the GGUF: llama (SentencePiece) and gpt2 (BPE)."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from reprlib import repr as short_repr
from typing import TypeVar

import regex

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.file import ConvertibleModel

SPACE = "\u2581"
#: Twice the longest of vocabularies in use (128 spaces): 4096 tokens of a megabyte each are no text.
MAX_PIECE = 256
_NORMAL, _UNKNOWN, _CONTROL, _UNUSED, _BYTE = 1, 2, 3, 5, 6
_BYTE_PIECE = regex.compile(r"<0x[0-9A-Fa-f]{2}>")
_GPT2_SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
#: Pre-tokenizers by the name in tokenizer.ggml.pre; others split text in ways we do not know.
_SPLITS = {"gpt-2": _GPT2_SPLIT, "gpt2": _GPT2_SPLIT}


T = TypeVar("T", int, float, str)


class Tokenizer(ABC):
    """Encodes and decodes for one model."""

    def __init__(
        self, pieces: list[str], types: list[int], bos_id: int | None, *, add_bos: bool
    ) -> None:
        self._pieces = pieces
        self._types = types
        self._bos_id = bos_id if add_bos else None
        self._index = {piece: i for i, piece in enumerate(pieces)}

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with the beginning-of-sequence token first where the model wants one."""
        ids = self._encode(text) if text else []
        return ids if self._bos_id is None else [self._bos_id, *ids]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids; control tokens are left out, broken UTF-8 becomes U+FFFD."""
        out = bytearray()
        for token in tokens:
            if 0 <= token < len(self._pieces) and self._types[token] not in {_CONTROL, _UNUSED}:
                out += self._bytes_of(token)
        return self._finish(out.decode("utf-8", errors="replace"))

    @abstractmethod
    def _encode(self, text: str) -> list[int]: ...

    @abstractmethod
    def _bytes_of(self, token: int) -> bytes: ...

    def _finish(self, text: str) -> str:
        return text


class SentencePiece(Tokenizer):
    """Merge the adjacent pair whose piece scores best, until none is a piece; then fall back to bytes."""

    def __init__(
        self,
        pieces: list[str],
        types: list[int],
        bos_id: int | None,
        scores: list[float],
        *,
        add_bos: bool,
        add_space_prefix: bool,
    ) -> None:
        super().__init__(pieces, types, bos_id, add_bos=add_bos)
        self._scores = scores
        self._prefix = SPACE if add_space_prefix else ""
        self._byte_ids = {
            int(piece[3:5], 16): i for i, piece in enumerate(pieces) if types[i] == _BYTE
        }

    def _encode(self, text: str) -> list[int]:
        symbols = list(self._prefix + text.replace(" ", SPACE))
        following = [*range(1, len(symbols)), -1]
        previous = list(range(-1, len(symbols) - 1))
        queue: list[tuple[float, int, int, str]] = []

        def offer(left: int, right: int) -> None:
            if left >= 0 and right >= 0:
                merged = symbols[left] + symbols[right]
                token = self._index.get(merged)
                if token is not None:
                    heapq.heappush(queue, (-self._scores[token], left, right, merged))

        for i in range(len(symbols) - 1):
            offer(i, i + 1)
        while queue:
            _, left, right, merged = heapq.heappop(queue)
            # an entry is stale when either side has been merged with something else since
            if following[left] != right or symbols[left] + symbols[right] != merged:
                continue
            symbols[left], symbols[right] = merged, ""
            following[left], following[right] = following[right], -1
            if following[left] >= 0:
                previous[following[left]] = left
            offer(previous[left], left)
            offer(left, following[left])
        return [token for symbol in symbols if symbol for token in self._ids_of(symbol)]

    def _ids_of(self, symbol: str) -> list[int]:
        token = self._index.get(symbol)
        if token is not None:
            return [token]
        encoded = symbol.encode("utf-8", errors="surrogateescape")
        if all(byte in self._byte_ids for byte in encoded):
            return [self._byte_ids[byte] for byte in encoded]
        unknown = next((i for i, kind in enumerate(self._types) if kind == _UNKNOWN), 0)
        return [unknown]

    def _bytes_of(self, token: int) -> bytes:
        piece = self._pieces[token]
        if self._types[token] == _BYTE:
            return bytes([int(piece[3:5], 16)])
        return piece.replace(SPACE, " ").encode("utf-8", errors="surrogateescape")

    def _finish(self, text: str) -> str:
        return text[1:] if self._prefix and text.startswith(" ") else text


class BytePair(Tokenizer):
    """GPT-2's byte-level BPE: split into words, then merge by rank."""

    def __init__(
        self,
        pieces: list[str],
        types: list[int],
        bos_id: int | None,
        merges: list[str],
        split: str,
        *,
        add_bos: bool,
    ) -> None:
        super().__init__(pieces, types, bos_id, add_bos=add_bos)
        self._ranks = {tuple(merge.split(" ", 1)): rank for rank, merge in enumerate(merges)}
        self._split = regex.compile(split)
        self._char_of = _byte_characters()
        self._byte_of = {char: byte for byte, char in self._char_of.items()}

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for word in self._split.findall(text):
            symbols = [self._char_of[byte] for byte in word.encode("utf-8")]
            while len(symbols) > 1:
                pairs = list(pairwise(symbols))
                best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
                if best not in self._ranks:
                    break
                at = pairs.index(best)
                symbols[at : at + 2] = ["".join(best)]
            for symbol in symbols:
                if symbol not in self._index:
                    raise ModelError(
                        f"the model's vocabulary has no token for {symbol!r}",
                        code="tokenizer",
                        hint="pass token ids instead: --prompt-tokens",
                    )
                ids.append(self._index[symbol])
        return ids

    def _bytes_of(self, token: int) -> bytes:
        piece = self._pieces[token]
        if all(char in self._byte_of for char in piece):
            return bytes(self._byte_of[char] for char in piece)
        return piece.encode("utf-8", errors="surrogateescape")


def _byte_characters() -> dict[int, str]:
    """GPT-2's reversible map of bytes to printable characters."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in printable}
    table |= {byte: chr(256 + i) for i, byte in enumerate(sorted(set(range(256)) - set(printable)))}
    return table


def tokenizer_of(model: ConvertibleModel) -> Tokenizer:
    """Build the tokenizer that a model carries.

    Raises ModelError "tokenizer", which says to pass token ids, when it carries none that we know.
    """
    kind = model.meta("tokenizer.ggml.model")
    pieces = _items(model, "tokenizer.ggml.tokens", str)
    if kind not in ("llama", "gpt2") or len(pieces) != model.shape.n_vocab:
        raise _unknown(model, f"tokenizer {short_repr(kind)} with {len(pieces)} tokens")
    types = _items(model, "tokenizer.ggml.token_type", int) or [_NORMAL] * len(pieces)
    bos = model.meta("tokenizer.ggml.bos_token_id")
    bos_id = bos if isinstance(bos, int) and 0 <= bos < len(pieces) else None
    add_bos = model.meta("tokenizer.ggml.add_bos_token")
    if len(types) != len(pieces):
        raise _unknown(model, f"tokenizer with {len(pieces)} tokens but {len(types)} types")
    if max(map(len, pieces), default=0) > MAX_PIECE:
        raise _unknown(model, f"tokenizer with a token of more than {MAX_PIECE} characters")
    for piece, token_type in zip(pieces, types, strict=True):
        if token_type == _BYTE and not _BYTE_PIECE.fullmatch(piece):
            raise _unknown(model, f"tokenizer whose byte token is {short_repr(piece)}")
    if kind == "llama":
        scores = _items(model, "tokenizer.ggml.scores", float)
        if len(scores) != len(pieces):
            raise _unknown(model, "SentencePiece tokenizer without scores")
        prefix = model.meta("tokenizer.ggml.add_space_prefix")
        return SentencePiece(
            pieces, types, bos_id, scores,
            add_bos=add_bos is not False, add_space_prefix=prefix is not False,
        )  # fmt: skip
    # files older than this key were split as GPT-2 does
    pre = model.meta("tokenizer.ggml.pre") or "gpt-2"
    if not isinstance(pre, str) or pre not in _SPLITS:
        raise _unknown(model, f"pre-tokenizer {short_repr(pre)}")
    merges = _items(model, "tokenizer.ggml.merges", str)
    return BytePair(pieces, types, bos_id, merges, _SPLITS[pre], add_bos=add_bos is True)


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
