"""Turns names and texts of a request into what a board takes: a file, a type, token ids."""

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

#: Sonnet 18: it is public domain, and like the text that the bundled models were trained on.
STANDARD_PROMPT = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt: its token ids, and the text they were made of."""

    tokens: tuple[int, ...]
    source: PromptSource
    #: None when ids were given. A record keeps only a part of it: `kept`.
    text: str | None

    @property
    def kept(self) -> str | None:
        """The part of the text that a record keeps: its beginning, as valid Unicode."""
        if self.text is None:
            return None
        return valid_unicode(self.text[:MAX_PROMPT_CHARACTERS])

    @property
    def characters(self) -> int | None:
        """How long the text was."""
        return None if self.text is None else len(self.text)


#: Files that one call has read: a sweep reads each file once, and so compares one content.
Batch = dict[Path, ConvertibleModel]


class Preparer:
    """Prepares each model once; a sweep names the same few again and again.

    Each call reads the file again, and prepares it again when its content has changed. File times
    would not show that: a write through a memory map (numpy.memmap) may leave them as they are.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._read: dict[Path, ConvertibleModel] = {}
        self._made: dict[tuple[str, Quantization, Quantization | None], ModelFile] = {}
        self._spellers: dict[str, _Speller] = {}
        self._scorings: dict[tuple[str | int | None, ...], Scoring] = {}

    def source(self, name: str | Path, batch: Batch | None = None) -> ConvertibleModel:
        """Return the model as its file is now, or, within a batch, as it was at the first read.

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
            # A notebook that trains writes many contents; the models of earlier ones are dropped.
            self._made.clear()
            self._spellers.clear()
            self._scorings.clear()
        return model

    def typed(
        self,
        source: ConvertibleModel,
        quantization: Quantization | str | None,
        head: Quantization | str | None = None,
    ) -> ModelFile:
        """Return a model in the types asked for. Raises UsageError and ModelError."""
        if quantization is None:
            if head is None:
                return source.runnable()
            quantization = source.runnable().quantization
        to, of_head = parse_quantization(quantization), head and parse_quantization(head)
        key = source.sha256, to, of_head or None
        made = self._made.get(key)
        if made is None:
            folder = self._cache_dir / "models"
            made = self._made[key] = quantized(source, to, folder, of_head or None)
        return made

    def scoring(
        self,
        source: ConvertibleModel,
        made: ModelFile,
        text: scoring.Corpus,
        n_tokens: int,
        n_ctx: int | None,
        stride: int | None,
    ) -> Scoring:
        """Return the windows of a text over which `made` is scored.

        With them come the top-1 tokens of the model that `made` was quantized from, if it was: they
        take a forward pass over the text on this host.

        Raises UsageError, JobError, and ModelError for a model without a tokenizer.
        """
        if not 1 <= n_tokens <= MAX_SCORED_TOKENS:
            raise UsageError(f"score_tokens must be 1 to {MAX_SCORED_TOKENS}, not {n_tokens}")
        size = scoring.window_size(made.shape.n_ctx, n_ctx)
        key = (source.sha256, source.sha256 == made.sha256, text.sha256, n_tokens, size, stride)
        if key not in self._scorings:
            try:
                speller = self._speller(source)
                cut = scoring.windows(text, speller.body, speller.head, n_tokens, size, stride)
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
                top1 = tuple(tuple(reference.score(each, KvType.F32)[1]) for each in cut.windows)
            made_of = Scoring(
                text=text.name,
                text_sha256=text.sha256,
                windows=cut.windows,
                context_tokens=cut.context_tokens,
                unquantized_top1=top1,
            )
            if made_of.n_tokens < n_tokens:
                log.warning(
                    "%s has only %d tokens to score, not %d", text.name, made_of.n_tokens, n_tokens
                )
            self._scorings[key] = made_of
        return self._scorings[key]

    def prompt(
        self, model: ModelFile, text: str | None, tokens: Iterable[int] | None, n_prompt: int
    ) -> Prompt:
        """Return the prompt: ids as given, of a text, or n_prompt of the standard text.

        The empty text is the model's BOS token, if it has one. Raises UsageError for an empty
        prompt or two prompts, JobError for tokens outside the vocabulary or too many for the
        context.
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
                _check_room(model, n_prompt)  # checked before so many are made
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
    """A tokenizer with a cache: jobs of a sweep share prompts, and tokenising is slow."""

    def __init__(self, tokenizer: Tokenizer, n_vocab: int) -> None:
        self._n_vocab = n_vocab
        self.encode = lru_cache(maxsize=256)(lambda text: tuple(tokenizer.encode(text)))
        self.standard = lru_cache(maxsize=256)(self._standard)
        self._tokenizer = tokenizer
        #: The tokens before every text: BOS, or none.
        self.head = tuple(tokenizer.head)

    def body(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text without BOS and EOS."""
        return tuple(self._tokenizer.body(text))

    def _standard(self, n_prompt: int) -> tuple[tuple[int, ...], str]:
        """Return the first `count` tokens of the standard text, and their text."""
        try:
            first, *rest = (*self.head, *self.body(STANDARD_PROMPT))
        except ModelError as error:
            if error.code != "unspellable":
                raise
            # This vocabulary cannot spell the text, so any ids will do; llama-bench's are random.
            tokens = tuple(islice(cycle(range(self._n_vocab)), n_prompt))
        else:
            tokens = (first, *islice(cycle(rest), n_prompt - 1))
        return tokens, self._tokenizer.decode(tokens)


def _whole_numbers(tokens: Iterable[object]) -> tuple[int, ...]:
    """Return token ids from a list, a numpy array or a generator. Raises UsageError."""
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
    """Return the prompt of an empty text: BOS."""
    token = bos_token(model)
    if token is None:
        raise UsageError(
            f"the prompt is empty, and {model.name} has no token that begins a text (BOS)",
            hint="give it at least one character, or token ids: --prompt-tokens",
        )
    return (token,)


def parse_quantization(name: Quantization | str) -> Quantization:
    """Return the type of that name in any case of letters. Raises UsageError."""
    try:
        return Quantization(str(name).upper())
    except ValueError:
        known = ", ".join(Quantization)
        raise UsageError(f"no quantization {name!r} (known: {known})") from None
