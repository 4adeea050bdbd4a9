"""tokenizer.json: byte-pair vocabularies of bytes (GPT-2's) or with byte fallback (Llama's)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from edgeprof.shared.errors import ModelError
from edgeprof.shared.models.byte_pair import BytePair
from edgeprof.shared.models.hugging_face.config import read_json
from edgeprof.shared.models.hugging_face.pieces import Vocab, merge_pairs, merge_scores, read_vocab
from edgeprof.shared.models.llama_writing import TokenTable, refused
from edgeprof.shared.models.sentence_piece import SPACE
from edgeprof.shared.models.token_splits import SPLITS
from edgeprof.shared.models.tokenizer_base import USER_DEFINED, Vocabulary

#: Llama 3's pattern, as its tokenizer.json has it.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_tokenizer_json(path: Path) -> tuple[TokenTable, tuple[str, ...]]:
    """Return the tokens, and notes on them for the user. Raises ModelError."""
    try:
        return _Reader(path).table()
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, OverflowError) as error:
        raise refused(
            path, f"its tokenizer makes no sense ({type(error).__name__}: {error})"
        ) from None


class _Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = read_json(path)
        self._model: dict[str, Any] = self._file["model"]
        self._notes: list[str] = []

    def table(self) -> tuple[TokenTable, tuple[str, ...]]:
        kind = self._model.get("type", "BPE" if "merges" in self._model else None)
        if kind != "BPE":
            raise self._unsupported(f"model type {short_repr(kind)}", "only BPE is")
        for key in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
            if self._model.get(key):
                raise self._unsupported(f"model.{key} {short_repr(self._model[key])}")
        vocab = read_vocab(self._file)
        self._note_added(vocab)
        pairs = merge_pairs(self._model["merges"])
        byte_level = any(step.get("type") == "ByteLevel" for step in self._steps("pre_tokenizer"))
        made = self._gpt2(vocab, pairs) if byte_level else self._llama(vocab, pairs)
        return made, tuple(self._notes)

    def _gpt2(self, vocab: Vocab, pairs: list[tuple[str, str]]) -> TokenTable:
        for step in self._steps("normalizer"):
            if step["type"] != "NFC":
                raise self._unsupported(f"normalizer {step['type']}")
            self._notes.append("text is not brought to NFC, as this tokenizer's is")
        pre = self._pre()
        merges = [" ".join(pair) for pair in pairs]
        split = SPLITS[pre]
        if bool(self._model.get("ignore_merges", False)) != split.ignore_merges:
            self._check_reachable(vocab, merges, pre)
        return TokenTable(
            "gpt2", [piece.encode() for piece in vocab.pieces], vocab.types, merges=merges, pre=pre,
            ids=vocab.ids, add_bos=split.add_bos,
        )  # fmt: skip

    def _pre(self) -> str:
        """Return llama.cpp's name for this pre-tokenizer."""
        *before, last = self._steps("pre_tokenizer")
        if last["type"] != "ByteLevel" or last.get("add_prefix_space"):
            raise self._unsupported("pre_tokenizer", "a space would be put first")
        plain = last.get("use_regex", True)
        if not before and plain:
            return "gpt-2"
        if len(before) == 1:
            step = before[0]
            if step["type"] == "Digits" and step.get("individual_digits") and plain:
                return "smollm"
            pattern = step.get("pattern", {}).get("Regex") if step["type"] == "Split" else None
            isolated = step.get("behavior") == "Isolated" and not step.get("invert")
            if pattern == _LLAMA3 and isolated and not plain:
                return "llama-bpe"
        names = " + ".join(str(step["type"]) for step in (*before, last))
        raise self._unsupported(
            f"pre_tokenizer {names}", "known are those of GPT-2, SmolLM and Llama 3"
        )

    def _check_reachable(self, vocab: Vocab, merges: list[str], pre: str) -> None:
        """Refuse where ignore_merges matters: some token cannot be made by merging."""
        made = BytePair(Vocabulary(vocab.pieces, vocab.types), merges, SPLITS[pre])
        for token, piece in vocab.normal():
            if made.merged_ids(piece) != [token]:
                raise self._unsupported(
                    f"ignore_merges {self._model.get('ignore_merges', False)} with this splitting",
                    f"token {piece!r} cannot be made by merging",
                )

    def _llama(self, vocab: Vocab, pairs: list[tuple[str, str]]) -> TokenTable:
        if not self._model.get("byte_fallback"):
            raise self._unsupported("BPE without ByteLevel and without byte_fallback")
        scores, exact = merge_scores(vocab, pairs)
        if not exact:
            self._notes.append(
                "its merges are not those of a SentencePiece model, so some words may be split"
                " otherwise than by Hugging Face"
            )
        return TokenTable(
            "llama", [piece.encode() for piece in vocab.pieces], vocab.types, scores=scores,
            ids=vocab.ids, add_bos=True, add_space_prefix=self._space_prefix(vocab),
        )  # fmt: skip

    def _space_prefix(self, vocab: Vocab) -> bool:
        """Return whether a space is put before a text; refuse all other normalizers."""
        prefix = False
        replaced = False
        for step in self._steps("normalizer"):
            match step:
                case {"type": "Prepend", "prepend": str(text)} if text == SPACE:
                    prefix = True
                case {"type": "Replace", "pattern": {"String": " "}, "content": str(text)} if (
                    text == SPACE
                ):
                    replaced = True
                case _:
                    raise self._unsupported(f"normalizer {step['type']}")
        for step in self._steps("pre_tokenizer"):
            if step["type"] != "Metaspace" or step.get("replacement", SPACE) != SPACE:
                raise self._unsupported(f"pre_tokenizer {step['type']}")
            replaced = True
            scheme = step.get(
                "prepend_scheme", "always" if step.get("add_prefix_space") else "never"
            )
            prefix = prefix or scheme != "never"
            inner = (p for _, p in vocab.normal() if SPACE in p[1:])
            if step.get("split", True) and (crossing := next(inner, None)) is not None:
                raise self._unsupported(
                    "pre_tokenizer Metaspace with split",
                    f"token {crossing!r} holds more than a word",
                )
        if not replaced:
            raise self._unsupported("a tokenizer that leaves spaces as they are")
        return prefix

    def _steps(self, key: str) -> list[dict[str, Any]]:
        """Return the parts of a normalizer or pre-tokenizer, sequences unpacked."""
        step = self._file.get(key)
        if not step:
            return []
        if step["type"] != "Sequence":
            return [step]
        inner: Iterable[dict[str, Any]] = step.get("pretokenizers") or step.get("normalizers") or []
        return list(inner)

    def _note_added(self, vocab: Vocab) -> None:
        self._notes += [
            f"{added['content']!r} is found in a text without the spaces that belong to it"
            for added in self._file.get("added_tokens") or []
            if vocab.types[added["id"]] == USER_DEFINED
            and (added.get("lstrip") or added.get("rstrip") or added.get("single_word"))
        ]

    def _unsupported(self, what: str, why: str = "") -> ModelError:
        return refused(
            self._path, f"{what} is not supported" + (f": {why}" if why else ""), code="tokenizer",
            hint="give another form of the tokenizer: --tokenizer tokenizer.model",
        )  # fmt: skip
