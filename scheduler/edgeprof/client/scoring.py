"""The text over which a model is scored, cut into windows that fit model and board."""

from __future__ import annotations

import codecs
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import JobError, UsageError
from edgeprof.shared.sanitize import one_line
from edgeprof.shared.types.case import MAX_PROMPT_TOKENS, MAX_SCORE_WINDOWS, MAX_SCORED_TOKENS

#: Our text, from the tenth of the corpus that the shipped models never saw (models/README.md).
OUR_TEXT: Final = "the-tempest"
#: Perplexity depends on it, so it is the same for every model and job. A cache of 128 positions
#: fits the boards that the models fit.
DEFAULT_WINDOW: Final = 128
MAX_CORPUS_BYTES: Final = 64 << 20
#: Few texts have more characters a token, so this much of a long text is tokenised first.
_CHARACTERS_A_TOKEN: Final = 8

_PLAIN_TEXT: Final = "--corpus takes a file of plain text"
_RECODE: Final = f"{_PLAIN_TEXT}: iconv -f UTF-16 -t UTF-8 FILE > NEW"

Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A text to score over, with the name and the hash that a record keeps."""

    name: str
    sha256: str
    text: str


def corpus(path: str | Path | None) -> Corpus:
    """Read a text file, or for None the text that ships. Raises UsageError."""
    if path is None:
        data = files("edgeprof.client").joinpath("texts", f"{OUR_TEXT}.txt").read_bytes()
        return Corpus(OUR_TEXT, hashlib.sha256(data).hexdigest(), data.decode())
    path = Path(path)
    try:
        # The size is not asked for: it is 0 for a pipe (`--corpus <(zcat …)`) and for a device.
        with path.open("rb") as file:
            data = file.read(MAX_CORPUS_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"{path}: cannot read: {why}", hint=_PLAIN_TEXT) from None
    if len(data) > MAX_CORPUS_BYTES:
        raise UsageError(
            f"{path}: more than {MAX_CORPUS_BYTES >> 20} MiB of text to score over",
            hint=f"a job scores {MAX_SCORED_TOKENS} tokens at most: its beginning will do",
        )
    text = _decoded(path, data)
    return Corpus(one_line(path.name, 128) or "text", hashlib.sha256(data).hexdigest(), text)


def _decoded(path: Path, data: bytes) -> str:
    """Return a file's text. Raises UsageError for zero bytes too: UTF-16 text is full of them."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise UsageError(f"{path}: this is UTF-16, not UTF-8", hint=_RECODE)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: byte {error.start} is not UTF-8", hint=_PLAIN_TEXT) from None
    if (at := data.find(b"\0")) >= 0:
        raise UsageError(f"{path}: byte {at} is 0, as in UTF-16 or no text at all", hint=_RECODE)
    return text


def window_size(n_ctx_model: int, n_ctx: int | None) -> int:
    """Return the number of tokens of a window: the context asked for, else DEFAULT_WINDOW.

    It never exceeds the model's training context, nor a board's longest prompt.
    """
    return min(n_ctx_model, MAX_PROMPT_TOKENS, DEFAULT_WINDOW if n_ctx is None else n_ctx)


def windows(
    text: Corpus, encode: Encode, head: tuple[int, ...], n_tokens: int, size: int
) -> tuple[tuple[int, ...], ...]:
    """Return windows of a text's beginning that score n_tokens, or fewer when it is shorter.

    head: the tokens before every text (BOS, or none); each window begins with them, as in
    llama.cpp. Raises UsageError when there is nothing to score, JobError when there is no room.
    """
    if size < 2:
        raise JobError(
            "a context of 1 position has no room to score a token",
            code="context",
            hint="leave --n-ctx out, or make it larger",
        )
    step = size - len(head)
    wanted = n_tokens + MAX_SCORE_WINDOWS
    characters = wanted * _CHARACTERS_A_TOKEN
    while True:
        tokens = tuple(encode(text.text[:characters]))
        if len(tokens) >= wanted or characters >= len(text.text):
            break
        characters *= 2
    found: list[tuple[int, ...]] = []
    left = n_tokens
    for start in range(0, len(tokens), step):
        window = (*head, *tokens[start : start + step])[: left + 1]
        if len(window) < 2 or len(found) == MAX_SCORE_WINDOWS:
            break
        found.append(window)
        left -= len(window) - 1
        if not left:
            break
    if not found:
        raise UsageError(
            f"{text.name} has too little text to score over: {len(tokens)} token(s)",
            hint="--corpus FILE names a longer one",
        )
    return tuple(found)
