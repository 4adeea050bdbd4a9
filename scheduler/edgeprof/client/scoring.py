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

#: A shorter passage may repeat by chance ("no, no").
_LEAST_REPETITION: Final = 16

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


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows of a text, and how many tokens at the beginning of later ones are only context."""

    windows: tuple[tuple[int, ...], ...]
    context_tokens: int = 1


def windows(
    text: Corpus,
    encode: Encode,
    head: tuple[int, ...],
    n_tokens: int,
    size: int,
    stride: int | None = None,
) -> Windows:
    """Return windows of a text's beginning that count n_tokens, or fewer when it is shorter.

    head: the tokens before every text (BOS, or none); each window begins with them, as in
    llama.cpp. stride: tokens from one window's beginning to the next's; None: they do not overlap.
    A token is counted once, in the first window that has it; where nothing comes before it there
    (no BOS, no overlap), not at all.

    Raises UsageError for a text that is shorter than a window or repeats itself, JobError when
    there is no room.
    """
    if size < 2:
        raise JobError(
            "a context of 1 position has no room to score a token",
            code="context",
            hint="leave --n-ctx out, or make it larger",
        )
    step = size - len(head)
    overlap = _overlap(step, stride)
    tokens = _beginning(text, encode, n_tokens + MAX_SCORE_WINDOWS)
    if len(tokens) < min(step, n_tokens + 1) or len(head) + len(tokens) < 2:
        raise UsageError(
            f"{text.name} has too little text to score over: {len(tokens)} token(s), and a window"
            f" of the context takes {step}",
            hint="--corpus FILE names a longer one, --n-ctx N makes a window shorter",
        )
    found: list[tuple[int, ...]] = []
    context = 1  # what comes before the first token that the next window counts
    left, run = n_tokens, 0
    while left and len(found) < MAX_SCORE_WINDOWS:
        start = len(found) * (step - overlap)
        window = (*head, *tokens[start : start + step])[: left + context]
        if len(window) <= context:
            break
        run += len(window) - 1
        if run > MAX_SCORED_TOKENS:
            raise UsageError(
                f"a stride of {stride} in windows of {size} runs more than {MAX_SCORED_TOKENS}"
                f" tokens to count {n_tokens}",
                hint=f"a larger --score-stride, or --score-tokens {n_tokens - left}",
            )
        found.append(window)
        left -= len(window) - context
        context = max(1, len(head) + overlap) if overlap else 1
    _check_repetition(text, tokens[: (len(found) - 1) * (step - overlap) + step])
    return Windows(tuple(found), context if len(found) > 1 else 1)


def _overlap(step: int, stride: int | None) -> int:
    """Return how many tokens of a window the one before has. Raises UsageError."""
    if stride is None:
        return 0
    if not 1 <= stride <= step:
        raise UsageError(
            f"--score-stride must be 1 to {step}, the tokens of a window, not {stride}",
            hint="e.g. --score-stride 64: each token then has as much of a window of 128 before it",
        )
    return step - stride


def _beginning(text: Corpus, encode: Encode, wanted: int) -> tuple[int, ...]:
    """Return at least so many tokens of a text's beginning, or all that it has."""
    characters = wanted * _CHARACTERS_A_TOKEN
    while True:
        tokens = tuple(encode(text.text[:characters]))
        if len(tokens) >= wanted or characters >= len(text.text):
            return tokens
        characters *= 2


def _check_repetition(text: Corpus, tokens: Sequence[int]) -> None:
    """Raise UsageError for a passage that is one text several times over.

    A model that has it in its context copies it, and its perplexity would be of the copying.
    """
    border = [0] * len(tokens)  # of each beginning: its longest end that it also begins with
    for index in range(1, len(tokens)):
        length = border[index - 1]
        while length and tokens[index] != tokens[length]:
            length = border[length - 1]
        border[index] = length + (tokens[index] == tokens[length])
    period = len(tokens) - border[-1]
    if len(tokens) >= _LEAST_REPETITION and period * 2 <= len(tokens):
        raise UsageError(
            f"{text.name} repeats the same {period} tokens: a model is not judged on a repeated"
            " text",
            hint="--corpus FILE names a text that does not, and that the model was not trained on",
        )
