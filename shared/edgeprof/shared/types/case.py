"""The work of a job on a board: a prompt to continue, and a text to score the model over.

Every limit is in docs/explanation/security.md.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from edgeprof.shared.types.wire import NoControl, Sha256, Token, WireModel

MAX_PROMPT_TOKENS: Final = 4096
MAX_GENERATED_TOKENS: Final = 4096
#: Of all prompts of a job together, as they were given; of a longer one the beginning is kept.
MAX_PROMPT_CHARACTERS: Final = 16384
#: Most tokens that a job scores, and most windows they lie in.
MAX_SCORED_TOKENS: Final = 4096
MAX_SCORE_WINDOWS: Final = 512

#: Where a prompt came from: a text, token ids, or the standard text that ships with edgeprof.
PromptSource = Literal["text", "tokens", "standard"]
Window = Annotated[tuple[Token, ...], Field(min_length=2, max_length=MAX_PROMPT_TOKENS)]


class Scoring(WireModel):
    """A text to score a model over, cut into windows that fit its context.

    Each window is scored by itself: all of its tokens but the first, each given those before it.
    """

    #: The text's name, for people; its content is text_sha256.
    text: Annotated[NoControl, Field(min_length=1, max_length=128)]
    text_sha256: Sha256
    windows: Annotated[tuple[Window, ...], Field(min_length=1, max_length=MAX_SCORE_WINDOWS)]
    #: So many tokens at the beginning of each window but the first are only context: a window
    #: before has counted them, or they begin every text.
    context_tokens: Annotated[int, Field(ge=1, lt=MAX_PROMPT_TOKENS)] = 1
    #: Top-1 tokens of the unquantized model, entry i of a window about its token i+1.
    unquantized_top1: tuple[tuple[Token, ...], ...] | None = None

    @property
    def n_tokens(self) -> int:
        """How many tokens are counted."""
        later = sum(len(window) - self.context_tokens for window in self.windows[1:])
        return len(self.windows[0]) - 1 + later

    @property
    def n_run(self) -> int:
        """How many tokens a board scores, with those that are only context."""
        return sum(len(window) - 1 for window in self.windows)

    @property
    def window_tokens(self) -> int:
        """Tokens of the longest window, which the context must hold."""
        return max(map(len, self.windows))

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.n_run > MAX_SCORED_TOKENS:
            raise ValueError(
                f"{self.n_run} tokens are to be scored; a job may score {MAX_SCORED_TOKENS}"
            )
        if any(len(window) <= self.context_tokens for window in self.windows[1:]):
            raise ValueError(f"a window has nothing after its {self.context_tokens} of context")
        top1 = self.unquantized_top1
        if top1 is not None and [len(window) - 1 for window in self.windows] != [*map(len, top1)]:
            raise ValueError("unquantized_top1 does not have one entry for each scored token")
        return self


class TestCase(WireModel):
    """One prompt, prefilled and continued greedily by n_gen tokens (llama-bench: ppN and tgN)."""

    __test__ = False  # pytest: this is not a test class

    prompt_tokens: Annotated[
        tuple[Token, ...],
        Field(min_length=1, max_length=MAX_PROMPT_TOKENS),
    ]
    #: 0: prefill only. The board then names the first token, which ends the prefill, and no more.
    n_gen: Annotated[int, Field(ge=0, le=MAX_GENERATED_TOKENS)] = 64
    prompt_source: PromptSource | None = None
    #: The prompt as it was given, or its beginning where it is longer than a record keeps. None
    #: when token ids were given.
    prompt_text: Annotated[str, Field(max_length=MAX_PROMPT_CHARACTERS)] | None = None
    #: Length of the whole text that prompt_text is, or begins.
    prompt_characters: Annotated[int, Field(ge=0, le=2**40)] | None = None
    scoring: Scoring | None = None
    #: Schema 1: top-1 tokens of the unquantized model over the prompt, which was also the text to
    #: score.
    unquantized_top1: Annotated[tuple[Token, ...], Field(max_length=MAX_PROMPT_TOKENS)] | None = (
        None
    )

    @model_validator(mode="after")
    def _top1_is_of_the_prompt(self) -> Self:
        if self.unquantized_top1 is not None:
            wanted = len(self.prompt_tokens) - 1
            if len(self.unquantized_top1) != wanted:
                raise ValueError(
                    f"unquantized_top1 has {len(self.unquantized_top1)} entries,"
                    f" the prompt makes {wanted}"
                )
        return self

    @property
    def n_run(self) -> int:
        """Tokens that the board is asked for: a prefill always ends with the id of the first."""
        return max(self.n_gen, 1)

    @property
    def n_ctx_needed(self) -> int:
        """Positions of KV cache this case fills; the last token is never fed back."""
        filled = len(self.prompt_tokens) + self.n_run - 1
        return max(filled, self.scoring.window_tokens if self.scoring else 0)

    @property
    def needs_schema(self) -> int:
        """The oldest schema that has all fields set here."""
        if self.scoring is not None and self.scoring.context_tokens > 1:
            return 3
        of_schema_2 = (
            self.prompt_source,
            self.prompt_text,
            self.prompt_characters,
            self.scoring,
        )
        return 2 if self.n_gen == 0 or any(item is not None for item in of_schema_2) else 1
