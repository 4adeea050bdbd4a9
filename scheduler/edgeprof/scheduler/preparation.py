"""From what a user names to what a board can take: the file, the type, the token ids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path

from edgeprof.shared.errors import JobError, ModelError, UsageError
from edgeprof.shared.jobs import MAX_PROMPT_TOKENS, KvType, Quantization
from edgeprof.shared.models import ModelFile, catalogue, quantized
from edgeprof.shared.models.tokenizer import Tokenizer, tokenizer_of
from edgeprof.shared.reference import Reference

log = logging.getLogger(__name__)

#: Sonnet 18: public domain, and of the kind the bundled models know.
STANDARD_PROMPT = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
)


class Preparer:
    """Prepares each model once; a sweep names the same few again and again."""

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._opened: dict[str, ModelFile] = {}
        self._made: dict[tuple[str, Quantization], ModelFile] = {}
        self._tokenizers: dict[str, Tokenizer] = {}
        # A sweep's jobs share their prompts, and tokenising takes longer than queueing.
        self._encoded = lru_cache(maxsize=256)(
            lambda sha256, text: tuple(self._tokenizers[sha256].encode(text))
        )

    def model(self, name: str | Path, quantization: Quantization | str | None) -> ModelFile:
        """Return the model in the type asked for. Raises UsageError and ModelError."""
        if str(name) not in self._opened:
            self._opened[str(name)] = catalogue.resolve(name)
        opened = self._opened[str(name)]
        if quantization is None:
            return opened
        wanted = parse_quantization(quantization)
        key = (opened.sha256, wanted)
        if key not in self._made:
            self._made[key] = quantized(opened, wanted, self._cache_dir / "models")
        return self._made[key]

    def unquantized_top1(
        self, name: str | Path, made: ModelFile, tokens: Sequence[int]
    ) -> tuple[int, ...] | None:
        """Return the top-1 tokens of the model that `made` was quantized from, entry i about token i+1;
        None when it is that model itself. Takes a forward pass over the prompt on this host."""
        source = self.model(name, None)
        if source.sha256 == made.sha256:
            return None
        _, top1 = Reference(source).score(tokens, KvType.F32)
        return tuple(int(token) for token in top1)

    def prompt(
        self, model: ModelFile, text: str | None, tokens: Sequence[int] | None, n_prompt: int
    ) -> tuple[int, ...]:
        """Return the prompt's token ids: given, from a text, or n_prompt of the standard text.

        Raises UsageError for an empty prompt or two prompts, JobError for tokens outside the
        vocabulary or more of them than the context holds.
        """
        if text is not None and tokens is not None:
            raise UsageError("give a prompt or prompt_tokens, not both")
        if tokens is None:
            if text is not None and not text:
                raise UsageError("the prompt is empty: at least one token is needed")
            tokens = self._standard(model, n_prompt) if text is None else self._encode(model, text)
        if not tokens:
            raise UsageError("the prompt is empty: at least one token is needed")
        for token in tokens:
            if not 0 <= token < model.shape.n_vocab:
                raise JobError(
                    f"token {token} is not in the vocabulary of {model.name}"
                    f" (0 to {model.shape.n_vocab - 1})",
                    code="token",
                )
        limit = min(model.shape.n_ctx, MAX_PROMPT_TOKENS)
        if len(tokens) > limit:
            raise JobError(
                f"the prompt has {len(tokens)} tokens; the context of {model.name} holds {limit}",
                code="context",
                hint="shorten the prompt, or take a model with a longer context",
            )
        return tuple(tokens)

    def _standard(self, model: ModelFile, n_prompt: int) -> tuple[int, ...]:
        try:
            first, *rest = self._encode(model, STANDARD_PROMPT)
        except ModelError as error:
            if error.code != "unspellable":
                raise
            # No token ids are better than others then; llama-bench takes any.
            return tuple(islice(cycle(range(model.shape.n_vocab)), n_prompt))
        return (first, *islice(cycle(rest), n_prompt - 1))

    def _encode(self, model: ModelFile, text: str) -> tuple[int, ...]:
        if model.sha256 not in self._tokenizers:
            tokenizer = self._tokenizers[model.sha256] = tokenizer_of(model)
            if tokenizer.note:
                log.warning("%s: %s", model.path.name, tokenizer.note)
        return self._encoded(model.sha256, text)


def parse_quantization(name: Quantization | str) -> Quantization:
    """Return the type of that name, however it is written, or raise UsageError."""
    try:
        return Quantization(str(name).upper())
    except ValueError:
        known = ", ".join(Quantization)
        raise UsageError(f"no quantization {name!r} (known: {known})") from None
