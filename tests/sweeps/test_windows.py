"""The windows of a text to score over: each token is counted once, with context before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.client import scoring
from edgeprof.client.request import Request
from edgeprof.shared.errors import UsageError
from edgeprof.shared.types.case import MAX_SCORE_WINDOWS, MAX_SCORED_TOKENS, Scoring
from edgeprof.workers.profiling.measure import ScoredWindow, summarize_score

FIRST = 5


def numbered(part: str) -> Sequence[int]:
    """Tokenise: a token a character, each of its own."""
    return range(FIRST, FIRST + len(part))


def counted(cut: scoring.Windows) -> list[int]:
    first, *later = cut.windows
    return [*first[1:], *(token for window in later for token in window[cut.context_tokens :])]


@given(
    st.integers(1, 300), st.integers(3, 40), st.booleans(), st.integers(1, 1500), st.integers(0, 40)
)
def test_each_token_is_counted_once_and_in_order(
    n_tokens: int, size: int, bos: bool, length: int, stride: int
) -> None:
    """Whatever the stride, what is counted is the beginning of the text, each token once, until as
    many are counted as asked for; and every window fits."""
    head = (1,) if bos else ()
    if stride > size - len(head):
        stride = 0
    text = scoring.Corpus("t", "", "x" * length)

    try:
        cut = scoring.windows(text, numbered, head, n_tokens, size, stride or None)
    except UsageError as refused:
        error = str(refused)
    else:
        error = ""
    if error:
        short = length < min(size - len(head), n_tokens + 1) or length + len(head) < 2
        assert short or "runs more than" in error
        return

    assert all(window[: len(head)] == head and 2 <= len(window) <= size for window in cut.windows)
    found = counted(cut)
    text_tokens = list(numbered("x" * length))
    if bos or 0 < stride < size:
        assert found == text_tokens[1 - len(head) :][: len(found)]
    whole = len(found) == n_tokens
    assert whole or len(cut.windows) == MAX_SCORE_WINDOWS or cut.windows[-1][-1] >= length + 3
    assert len(found) <= n_tokens
    made = Scoring(
        text="t", text_sha256="0" * 64, windows=cut.windows, context_tokens=cut.context_tokens
    )
    assert made.n_tokens == len(found)
    assert made.n_run <= MAX_SCORED_TOKENS


def test_a_stride_gives_tokens_more_context() -> None:
    """With a stride of half a window, every token after the first window has half of it before."""
    cut = scoring.windows(scoring.Corpus("t", "", "x" * 100), numbered, (), 40, 16, 8)

    assert cut.context_tokens == 8
    assert [window[0] - FIRST for window in cut.windows] == [0, 8, 16, 24, 32]
    assert [len(window) for window in cut.windows] == [16, 16, 16, 16, 9]


def test_what_is_only_context_is_not_in_the_perplexity() -> None:
    """Log-likelihoods and top-1 of a window's context are left out; the stride is told."""
    first = ScoredWindow((1, 2, 3), (-1.0, -1.0), (2, 3), (-1.0, -1.0), (2, 3), (2, 3))
    later = ScoredWindow((2, 3, 4), (-9.0, -1.0), (0, 4), (-9.0, -1.0), (0, 4), (3, 0))

    score = summarize_score([first, later], 2)

    assert (score.n_tokens, score.nll_nats, score.accuracy) == (3, 1.0, 1.0)
    assert score.quantization_error_rate == pytest.approx(1 / 3)
    assert (score.window_tokens, score.stride_tokens) == (3, 1)


@pytest.mark.parametrize(
    ("size", "stride", "length", "words"),
    [
        (64, None, 20, "too little text to score over: 20 token.* takes 64"),
        (64, 65, 200, "--score-stride must be 1 to 64"),
        (64, 1, 5000, "a stride of 1 in windows of 64 runs more than 4096 tokens"),
    ],
)
def test_windows_that_cannot_be(size: int, stride: int | None, length: int, words: str) -> None:
    """A corpus shorter than a window, and a stride that is none or takes too long, are told."""
    with pytest.raises(UsageError, match=words) as caught:
        scoring.windows(scoring.Corpus("t", "", "x" * length), numbered, (), 500, size, stride)

    assert "--" in str(caught.value.hint)


@pytest.mark.parametrize("n_repetitions", [2, 2.5, 40])
def test_a_model_is_never_judged_on_a_repeated_sentence(n_repetitions: float) -> None:
    """A passage that is one sentence several times over is refused."""
    sentence = [*range(10, 30)]
    tokens = (sentence * 41)[: int(len(sentence) * n_repetitions)]
    text = scoring.Corpus("same.txt", "", "x" * len(tokens))

    with pytest.raises(UsageError, match=r"same\.txt repeats the same 20 tokens"):
        scoring.windows(text, lambda part: tokens[: len(part)], (), len(tokens) - 1, 16)


def test_a_sentence_that_comes_back_is_no_repetition() -> None:
    """A refrain does not make a text a repetition."""
    tokens = [*range(10, 30), *range(50, 90), *range(10, 30)]
    text = scoring.Corpus("song.txt", "", "x" * len(tokens))

    cut = scoring.windows(text, lambda part: tokens[: len(part)], (), len(tokens) - 1, 80)

    assert cut.windows == (tuple(tokens),)


def test_a_request_with_a_stride_reaches_the_record(plan: Callable[..., Any]) -> None:
    """The stride of a request is in the job: windows that overlap, and what is only context."""
    made = plan(Request(model="shakespeare-240k", score=True, score_tokens=100, score_stride=32))

    scored = made.spec.cases[0].scoring
    assert (scored.n_tokens, scored.window_tokens, scored.context_tokens) == (100, 101, 1)
    assert len(scored.windows) == 1
    longer = plan(Request(model="shakespeare-240k", score=True, score_tokens=200, score_stride=32))
    scored = longer.spec.cases[0].scoring
    assert (scored.n_tokens, scored.window_tokens, scored.context_tokens) == (200, 128, 96)
