"""The common part of both kinds of tokenizer: types, whole tokens in the text, BOS and EOS."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from edgeprof.shared.errors import ModelError
from edgeprof.shared.sanitize import without_halves

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

#: Tokens that end a generation: llama.cpp takes them for control tokens, whatever the file says.
_ALWAYS_CONTROL = frozenset(
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "</s>", "<|eom_id|>"}
    | {"<EOT>", "_<EOT>", "[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "<eos>"}
)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of a model. `bos_id` and `eos_id` are set where they are to be added to a text."""

    pieces: list[str]
    types: list[int]
    bos_id: int | None = None
    eos_id: int | None = None


class Tokenizer(ABC):
    """Encodes and decodes for one model.

    User-defined tokens are found whole before anything else, the longest first, as in llama.cpp.
    Control tokens are not: the text "</s>" in a prompt is text. To use them, pass token ids.
    """

    #: A note for the user on how this model's text is split, or "".
    note = ""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._pieces = vocabulary.pieces
        self._types = [
            CONTROL if kind == USER_DEFINED and piece in _ALWAYS_CONTROL else kind
            for piece, kind in zip(vocabulary.pieces, vocabulary.types, strict=True)
        ]
        self._index = {piece: i for i, piece in enumerate(self._pieces)}
        whole = [
            i for i, kind in enumerate(self._types) if kind == USER_DEFINED and self._pieces[i]
        ]
        self._whole = sorted(whole, key=lambda i: -len(_bytes(self._pieces[i])))

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`, with the tokens of beginning and end that the model wants.

        Raises ModelError "unspellable" where the vocabulary cannot spell a character.
        """
        end = [] if self._vocabulary.eos_id is None else [self._vocabulary.eos_id]
        return [*self.head, *self.body(text), *end]

    @property
    def head(self) -> list[int]:
        """Return the ids that belong before a text: the token of beginning, or nothing."""
        return [] if self._vocabulary.bos_id is None else [self._vocabulary.bos_id]

    def body(self, text: str) -> list[int]:
        """Token ids of a text itself. Raises as encode() does."""
        ids: list[int] = []
        after_token = True
        for part in self._partition(without_halves(text)):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._encode(part, after_token=after_token)
            after_token = isinstance(part, int)
        return ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids; control tokens are left out, broken UTF-8 becomes U+FFFD."""
        out = bytearray()
        for token in tokens:
            if 0 <= token < len(self._pieces) and self._types[token] not in {CONTROL, UNUSED}:
                whole = self._types[token] == USER_DEFINED
                out += _bytes(self._pieces[token]) if whole else self._bytes_of(token)
        return self._finish(out.decode("utf-8", errors="replace"))

    def _partition(self, text: str) -> list[str | int]:
        """Cut out the user-defined tokens, each everywhere before the next shorter one."""
        parts: list[str | int] = [text]
        for token in self._whole:
            piece = self._pieces[token]
            if piece not in text:
                continue
            cut: list[str | int] = []
            for part in parts:
                if isinstance(part, int):
                    cut.append(part)
                    continue
                for i, between in enumerate(part.split(piece)):
                    cut += [token, between] if i else [between]
            parts = cut
        return [part for part in parts if part != ""]

    @abstractmethod
    def _encode(self, text: str, *, after_token: bool) -> list[int]:
        """Token ids of text without user-defined tokens; `after_token` at the beginning, too."""

    @abstractmethod
    def _bytes_of(self, token: int) -> bytes: ...

    def _finish(self, text: str) -> str:
        return text


def _bytes(piece: str) -> bytes:
    return piece.encode("utf-8", errors="surrogateescape")


def unspellable(symbol: str) -> ModelError:
    """Return the error for text that a vocabulary has no token for; llama.cpp stops there, too."""
    return ModelError(
        f"the model's vocabulary cannot spell {symbol!r}",
        code="unspellable",
        hint="leave it out, or pass token ids instead: --prompt-tokens 1,2,3",
    )
