"""How byte-level vocabularies split text into words, by the name in tokenizer.ggml.pre.

The rules are llama.cpp's. A rule is a list of patterns, each applied to every piece that the one
before made: its matches become words, and so does the text between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import regex

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
# Letters are written out twice: (?i:) would take U+017F for an s, too, which llama.cpp does not.
_LLAMA3 = (
    r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class Split:
    """One pre-tokenizer, and further properties that its name implies."""

    patterns: tuple[str, ...]
    #: A word that is a token stays whole, whatever the merges say.
    ignore_merges: bool = False
    add_bos: bool = False

    def words(self, text: str) -> Sequence[str]:
        """Split text into words; joined, they are the text."""
        words = [text] if text else []
        for pattern in self.patterns:
            words = [part for word in words for part in _cut(word, pattern)]
        return words


def _cut(text: str, pattern: str) -> list[str]:
    parts: list[str] = []
    at = 0
    for match in regex.finditer(pattern, text):
        parts += [text[at : match.start()], match.group()]
        at = match.end()
    return [part for part in (*parts, text[at:]) if part]


DEFAULT = Split((r"[\p{P}$+<=>^~|]+", _GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"))
GPT2 = Split((_GPT2,))
SMOLLM = Split((r"\p{N}", _GPT2))
LLAMA3 = Split((_LLAMA3,), ignore_merges=True, add_bos=True)

#: Others split text in ways we do not know.
SPLITS = {
    "default": DEFAULT,
    "gpt-2": GPT2,
    "gpt2": GPT2,
    "smollm": SMOLLM,
    "llama-bpe": LLAMA3,
    "llama3": LLAMA3,
    "llama-v3": LLAMA3,
}
