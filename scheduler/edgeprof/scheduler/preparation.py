"""From what a user names to what a board can take: the file, the type, the token ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path

from edgeprof.shared.errors import JobError, UsageError
from edgeprof.shared.jobs import MAX_PROMPT_TOKENS, KvType, Quantization
from edgeprof.shared.models import ConvertibleModel, ModelFile, catalogue, quantized
from edgeprof.shared.models.reading import Stamp, stamp_of
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference import Reference

#: Sonnet 18: public domain, and of the kind the bundled models know.
STANDARD_PROMPT = (
    "Shall I compare thee to a summer's day?\nThou art more lovely and more temperate:\n"
)


class Preparer:
    """Prepares each model once; a sweep names the same few again and again.

    A file is looked at for each job: what was written anew since is read anew.
    """

    def __init__(self, cache_dir: Path) -> None:
        self._cache_dir = cache_dir
        self._read: dict[Path, tuple[Stamp, ConvertibleModel]] = {}
        self._made: dict[tuple[str, Quantization], ModelFile] = {}
        self._encoders: dict[str, Callable[[str], tuple[int, ...]]] = {}

    def source(self, name: str | Path) -> ConvertibleModel:
        """Return the model as its file is now, of any types. Raises UsageError and ModelError."""
        path = catalogue.locate(name).absolute()
        stamp = stamp_of(path)
        before = self._read.get(path)
        if before is not None and before[0].settled and before[0].same_as(stamp):
            return before[1]
        model = ConvertibleModel.open(path)
        if before is not None and before[1].sha256 != model.sha256:
            # A notebook that trains writes many; what was made of the earlier ones is not needed.
            self._made.clear()
            self._encoders.clear()
        self._read[path] = stamp, model
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

    def unquantized_top1(
        self, source: ConvertibleModel, made: ModelFile, tokens: Sequence[int]
    ) -> tuple[int, ...] | None:
        """Return the top-1 tokens of the model that `made` was quantized from, entry i about token i+1;
        None when it is that model itself. Takes a forward pass over the prompt on this host."""
        if source.sha256 == made.sha256:
            return None
        # The reference computes what boards compute; every other type is exact in F32.
        runs = source if isinstance(source, ModelFile) else self.typed(source, Quantization.F32)
        _, top1 = Reference(runs).score(tokens, KvType.F32)
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
        first, *rest = self._encode(model, STANDARD_PROMPT)
        return (first, *islice(cycle(rest), n_prompt - 1))

    def _encode(self, model: ModelFile, text: str) -> tuple[int, ...]:
        encode = self._encoders.get(model.sha256)
        if encode is None:
            tokenizer = tokenizer_of(model)
            # A sweep's jobs share their prompts, and tokenising takes longer than queueing.
            encode = lru_cache(maxsize=256)(lambda text: tuple(tokenizer.encode(text)))
            self._encoders[model.sha256] = encode
        return encode(text)


def parse_quantization(name: Quantization | str) -> Quantization:
    """Return the type of that name, however it is written, or raise UsageError."""
    try:
        return Quantization(str(name).upper())
    except ValueError:
        known = ", ".join(Quantization)
        raise UsageError(f"no quantization {name!r} (known: {known})") from None
