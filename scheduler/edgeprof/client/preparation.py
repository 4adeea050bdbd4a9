"""From what a user names to what a board can take: the file, the type, the token ids."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, islice
from operator import index
from pathlib import Path
from reprlib import repr as short_repr

from edgeprof.client import scoring
from edgeprof.shared.errors import JobError, ModelError, UsageError
from edgeprof.shared.models import ConvertibleModel, ModelFile, catalogue, quantized, reading
from edgeprof.shared.models.special_tokens import bos_token
from edgeprof.shared.models.tokenizer import Tokenizer, tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.sanitize import valid_unicode
from edgeprof.shared.types.case import (
    MAX_PROMPT_CHARACTERS,
    MAX_PROMPT_TOKENS,
    MAX_SCORED_TOKENS,
    PromptSource,
    Scoring,
)
from edgeprof.shared.types.model import KvType, Quantization

log = logging.getLogger(__name__)

#: Sonnet 18: public domain, and of the kind the bundled models know.
STANDARD_PROMPT = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's token ids, and what they were made of."""

    tokens: tuple[int, ...]
    source: PromptSource
    #: None when ids were given; what of it a record keeps is `kept`.
    text: str | None

    @property
    def kept(self) -> str | None:
        """The text as a record holds it: its beginning, and valid Unicode whatever a terminal sent."""
        if self.text is None:
            return None
        return valid_unicode(self.text[:MAX_PROMPT_CHARACTERS])

    @property
    def characters(self) -> int | None:
        """How long the text was."""
        return None if self.text is None else len(self.text)


#: Files that one call of a user has read. A sweep compares boards and types of one content, and reads it once.
Batch = dict[Path, ConvertibleModel]


class Preparer:
    """Prepares each model once; a sweep names the same few again and again.

    A file is read for each call of a user, and worked on anew when its content is another. Its times would not
    do: what is written through a memory map (numpy.memmap) may change none of them.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._read: dict[Path, ConvertibleModel] = {}
        self._made: dict[tuple[str, Quantization], ModelFile] = {}
        self._spellers: dict[str, _Speller] = {}
        self._scorings: dict[tuple[str, bool, str, int, int], Scoring] = {}

    def source(self, name: str | Path, batch: Batch | None = None) -> ConvertibleModel:
        """Return the model as its file is now, of any types; within one batch as it was at first.

        Raises UsageError and ModelError.
        """
        path = catalogue.locate(name).absolute()
        found = None if batch is None else batch.get(path)
        if found is None:
            found = self._read[path] = self._as_it_is(path, self._read.get(path))
            if batch is not None:
                batch[path] = found
        return found

    def _as_it_is(self, path: Path, before: ConvertibleModel | None) -> ConvertibleModel:
        if before is None:
            return ConvertibleModel.open(path)
        if reading.holds(path, before.data):
            return before
        model = ConvertibleModel.open(path)
        if before.sha256 != model.sha256:
            # A notebook that trains writes many; what was made of the earlier ones is not needed.
            self._made.clear()
            self._spellers.clear()
            self._scorings.clear()
        return model

    def typed(self, source: ConvertibleModel, quantization: Quantization | str | None) -> ModelFile:
        """Return a model in the type asked for. Raises UsageError and ModelError."""
        if quantization is None:
            return source.runnable()
        key = source.sha256, parse_quantization(quantization)
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = quantized(source, key[1], self._cache_dir / "models")
        return made

    def scoring(
        self,
        source: ConvertibleModel,
        made: ModelFile,
        text: scoring.Corpus,
        n_tokens: int,
        n_ctx: int | None,
    ) -> Scoring:
        """Return the windows of a text to score `made` over, with the top-1 tokens of the model that it
        was quantized from, unless it is that model itself: a forward pass over the text on this host.

        Raises UsageError, JobError, and ModelError for a model without a tokenizer.
        """
        if not 1 <= n_tokens <= MAX_SCORED_TOKENS:
            raise UsageError(f"score_tokens must be 1 to {MAX_SCORED_TOKENS}, not {n_tokens}")
        size = scoring.window_size(made.shape.n_ctx, n_ctx)
        key = (source.sha256, source.sha256 == made.sha256, text.sha256, n_tokens, size)
        if key not in self._scorings:
            try:
                speller = self._speller(source)
                windows = scoring.windows(text, speller.body, speller.head, n_tokens, size)
            except ModelError as error:
                raise ModelError(
                    f"{error}, and a text to score over must be tokenised",
                    code=error.code,
                    hint="submit it without --score",
                ) from None
            top1 = None
            if source.sha256 != made.sha256:
                # The reference computes what boards compute; every other type is exact in F32.
                runs = (
                    source
                    if isinstance(source, ModelFile)
                    else self.typed(source, Quantization.F32)
                )
                reference = Reference(runs)
                top1 = tuple(tuple(reference.score(each, KvType.F32)[1]) for each in windows)
            self._scorings[key] = Scoring(
                text=text.name, text_sha256=text.sha256, windows=windows, unquantized_top1=top1
            )
        return self._scorings[key]

    def prompt(
        self, model: ModelFile, text: str | None, tokens: Iterable[int] | None, n_prompt: int
    ) -> Prompt:
        """Return the prompt: ids as given, of a text, or n_prompt of the standard text.

        The empty text is the token that begins one, where the model has it. Raises UsageError for an
        empty prompt or two prompts, JobError for tokens outside the vocabulary or more of them than
        the context holds.
        """
        if text is not None and tokens is not None:
            raise UsageError("give a prompt or prompt_tokens, not both")
        source: PromptSource = "tokens"
        if tokens is not None:
            tokens = _whole_numbers(tokens)
        else:
            source = "standard" if text is None else "text"
            if not isinstance(text, str | None):
                raise UsageError(f"prompt must be text, not {short_repr(text)}")
            if text is None:
                _check_room(model, n_prompt)  # before so many are made
                tokens, text = self._speller(model).standard(n_prompt)
            else:
                tokens = self._encode(model, text) if text else _beginning(model)
        if not tokens:
            raise UsageError("the prompt is empty: at least one token is needed")
        for token in tokens:
            if not 0 <= token < model.shape.n_vocab:
                raise JobError(
                    f"token {token} is not in the vocabulary of {model.name}"
                    f" (0 to {model.shape.n_vocab - 1})",
                    code="token",
                )
        _check_room(model, len(tokens))
        return Prompt(tokens, source, text)

    def _encode(self, model: ConvertibleModel, text: str) -> tuple[int, ...]:
        return self._speller(model).encode(text)

    def _speller(self, model: ConvertibleModel) -> _Speller:
        speller = self._spellers.get(model.sha256)
        if speller is None:
            tokenizer = tokenizer_of(model)
            if tokenizer.note:
                log.warning("%s: %s", model.path.name, tokenizer.note)
            speller = _Speller(tokenizer, model.shape.n_vocab)
            self._spellers[model.sha256] = speller
        return speller


class _Speller:
    """A tokenizer that remembers: a sweep's jobs share their prompts, and tokenising takes longer than queueing."""

    def __init__(self, tokenizer: Tokenizer, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self.encode = lru_cache(maxsize=256)(lambda text: tuple(tokenizer.encode(text)))
        self.standard = lru_cache(maxsize=256)(self._standard)
        self._tokenizer = tokenizer
        #: What this model begins a text with: BOS, or nothing.
        self.head = tuple(tokenizer.head)

    def body(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text itself, without those of its beginning and its end."""
        return tuple(self._tokenizer.body(text))

    def _standard(self, n_prompt: int) -> tuple[tuple[int, ...], str]:
        """Return so many tokens of the standard text, and what they say."""
        try:
            first, *rest = (*self.head, *self.body(STANDARD_PROMPT))
        except ModelError as error:
            if error.code != "unspellable":
                raise
            # No token ids are better than others then; llama-bench takes any.
            tokens = tuple(islice(cycle(range(self._n_vocab)), n_prompt))
        else:
            tokens = (first, *islice(cycle(rest), n_prompt - 1))
        return tokens, self._tokenizer.decode(tokens)


def _whole_numbers(tokens: Iterable[object]) -> tuple[int, ...]:
    """Return token ids, of whatever a program keeps them in: a list, an array of numpy, a generator."""
    try:
        return tuple(index(token) for token in tokens)  # type: ignore[arg-type]
    except TypeError:
        raise UsageError(f"prompt_tokens must be whole numbers, not {short_repr(tokens)}") from None


def _check_room(model: ModelFile, n_tokens: int) -> None:
    limit = min(model.shape.n_ctx, MAX_PROMPT_TOKENS)
    if n_tokens > limit:
        raise JobError(
            f"the prompt has {n_tokens} tokens; the context of {model.name} holds {limit}",
            code="context",
            hint="shorten the prompt, or take a model with a longer context",
        )


def _beginning(model: ModelFile) -> tuple[int, ...]:
    """Return the prompt of no text: the token that begins one."""
    token = bos_token(model)
    if token is None:
        raise UsageError(
            f"the prompt is empty, and {model.name} has no token that begins a text (BOS)",
            hint="give it at least one character, or token ids: --prompt-tokens",
        )
    return (token,)


def parse_quantization(name: Quantization | str) -> Quantization:
    """Return the type of that name, however it is written, or raise UsageError."""
    try:
        return Quantization(str(name).upper())
    except ValueError:
        known = ", ".join(Quantization)
        raise UsageError(f"no quantization {name!r} (known: {known})") from None
