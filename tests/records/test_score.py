"""Perplexity over a held-out text: the windows, the sums, and the host's word against the
board's."""

from __future__ import annotations

import hashlib
import math
import os
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeprof.client import Lab, Request, scoring
from edgeprof.client.request import DEFAULT_SCORED_TOKENS
from edgeprof.shared.errors import ModelError, UsageError
from edgeprof.shared.models import ModelFile, catalogue
from edgeprof.shared.models.tokenizer import tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.settings import Settings
from edgeprof.shared.types.case import MAX_SCORED_TOKENS, Scoring, TestCase
from edgeprof.shared.types.model import KvType
from edgeprof.workers.metrics.models import DATASETS
from edgeprof.workers.profiling.measure import ScoredWindow, check_score, summarize_score
from tests.records.conftest import PROMPT

MODEL = "shakespeare-240k"
WINDOWS = ((300, 400, 401, 402, 299), (280, 281, 282))
TO_SCORE = Scoring(text="t", text_sha256="0" * 64, windows=WINDOWS)


@pytest.fixture
def lab(settings: Settings) -> Iterator[Lab]:
    with Lab(settings=settings) as opened:
        yield opened


@pytest.fixture
def plan(lab: Lab) -> Callable[..., Any]:
    """`plan(**wishes)`: the record of a job that is to be scored."""

    def make(model: Any = MODEL, **wishes: Any) -> Any:
        request: dict[str, Any] = {"platform": "someday", "wait_for_board": True, "score": True}

        return lab.plan(Request(model=model, **request | wishes)).spec

    return make


def test_board_and_host_agree_over_the_same_windows(
    session: Callable[..., Any], model: ModelFile
) -> None:
    """All tokens of each window but its first; mean, perplexity and errors are of all together."""
    case = TestCase(prompt_tokens=PROMPT, n_gen=2, scoring=TO_SCORE)

    result, seen = session(case, score=True, repetitions=1)

    nll = [-x for window in WINDOWS for x in Reference(model).score(window, KvType.F16)[0]]
    score = result.cases[0].score
    assert (score.n_tokens, score.n_windows, score.window_tokens) == (6, 2, 5)
    assert score.nll_nats == pytest.approx(statistics.fmean(nll), rel=1e-6)
    assert score.perplexity == score.reference_perplexity
    assert score.nll_stderr_nats == pytest.approx(statistics.stdev(nll) / math.sqrt(6), rel=1e-6)
    assert score.perplexity_stderr == pytest.approx(score.perplexity * score.nll_stderr_nats)
    assert (score.text, score.text_sha256, score.top1_agreement) == ("t", "0" * 64, 1.0)
    assert [f["message"] for f in seen if f["phase"] == "score"][:2] == ["window 1/2", "window 2/2"]
    assert [f["percent"] for f in seen] == sorted(f["percent"] for f in seen)
    assert seen[-1]["percent"] == 100.0


def test_a_record_of_schema_1_is_scored_over_its_prompt(session: Callable[..., Any]) -> None:
    """A record of schema 1 is scored over its prompt, as it was meant."""
    case = TestCase(prompt_tokens=PROMPT, n_gen=2, unquantized_top1=(1, 2, 3))

    result, _ = session(case, score=True, repetitions=1, schema_version=1)

    score = result.cases[0].score
    assert (score.text, score.n_tokens, score.n_windows) == ("prompt", 3, 1)
    assert score.quantization_error_rate is not None


def test_a_board_that_scores_otherwise_fails() -> None:
    """The first token whose log-likelihood is not the host's is named (invariant 5)."""
    window = ScoredWindow((1, 2, 3), (-1.0, -2.0), (2, 3), (-1.0, -2.0), (2, 3))
    check_score(window, 1)

    for wrong in (-2.001, math.nan):
        with pytest.raises(ModelError, match="token 2 of window 7") as caught:
            check_score(ScoredWindow((1, 2, 3), (-1.0, wrong), (2, 3), (-1.0, -2.0), (2, 3)), 7)
        assert caught.value.code == "wrong_output"


def test_one_token_has_no_standard_error() -> None:
    """The standard error of one token is absent, not zero."""
    score = summarize_score([ScoredWindow((1, 2), (-1.0,), (2,), (-1.0,), (2,))])

    assert (score.n_tokens, score.nll_stderr_nats, score.perplexity_stderr) == (1, None, None)


def test_perplexity_depends_on_nothing_else_of_a_job(plan: Callable[..., Any]) -> None:
    """All jobs score the same windows, whatever their prompt, counts or type; only a requested
    context counts."""
    one, other, typed = (
        plan(n_prompt=16, n_gen=4),
        plan(n_prompt=200, n_gen=0),
        plan(quantization="Q8_0", prompt="x"),
    )

    windows = one.cases[0].scoring.windows
    assert windows == other.cases[0].scoring.windows == typed.cases[0].scoring.windows
    assert {len(window) for window in windows[:-1]} == {scoring.DEFAULT_WINDOW}
    assert one.cases[0].scoring.n_tokens == DEFAULT_SCORED_TOKENS
    assert (one.n_ctx, other.n_ctx) == (scoring.DEFAULT_WINDOW, 200)
    assert plan(n_prompt=8, n_gen=8, n_ctx=40).cases[0].scoring.window_tokens == 40


def test_what_is_lost_by_quantizing_is_known(plan: Callable[..., Any], model: ModelFile) -> None:
    """The unquantized model's choices over the same windows are in the record; its own job needs
    none."""
    scored = plan(quantization="Q8_0", score_tokens=9).cases[0].scoring

    _, top1 = Reference(model).score(scored.windows[0], KvType.F32)
    assert scored.unquantized_top1 == (tuple(top1),)
    assert plan().cases[0].scoring.unquantized_top1 is None


def test_our_text_is_long_enough_for_the_models_that_ship() -> None:
    """The standard text, which was checked to be held out, has as many tokens as a job may
    score."""
    ours = scoring.corpus(None)

    # Of the last tenth of the corpus, which train.py held out: models/README.md.
    assert ours.sha256 == hashlib.sha256(ours.text.encode()).hexdigest()
    assert ours.sha256.startswith("33434e4cc6d7a44f")
    for shipped in catalogue.list_models():
        assert len(tokenizer_of(shipped).encode(ours.text)) > MAX_SCORED_TOKENS
    assert scoring.OUR_TEXT in DATASETS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot read"),
        (b"", "too little text"),
        (b"\xff\x00", "byte 0 is not UTF-8"),
        ("To be".encode("utf-16"), "this is UTF-16"),
        ("To be".encode("utf-16-le"), "byte 1 is 0, as in UTF-16"),
        (b"To be\0or", "byte 5 is 0"),
    ],
)
def test_a_corpus_that_is_none_is_one_line(
    plan: Callable[..., Any], tmp_path: Path, data: bytes | None, words: str
) -> None:
    """The error of a corpus that is none names the file, and what to give instead."""
    path = tmp_path / "corpus.txt"
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(UsageError, match=words) as caught:
        plan(corpus=path)

    assert "corpus.txt" in str(caught.value)
    assert "--corpus" in str(caught.value.hint)


def test_a_text_of_ones_own_is_named_by_its_content(
    plan: Callable[..., Any], tmp_path: Path, model: ModelFile
) -> None:
    """A corpus is recorded by hash and file name; a short one is scored whole, with its count,
    where a window is no longer."""
    path = tmp_path / "mine.txt"
    path.write_text("O, what a rogue and peasant slave am I!")

    spec = plan(corpus=str(path), score=False, n_prompt=4, n_gen=4, n_ctx=20)

    assert spec.score
    scored = spec.cases[0].scoring
    assert (scored.text, scored.text_sha256) == (
        "mine.txt",
        hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    assert scored.windows == (tuple(tokenizer_of(model).encode(path.read_text())),)
    assert scored.n_tokens == len(scored.windows[0]) - 1


def test_a_corpus_may_come_from_a_pipe(tmp_path: Path) -> None:
    """A corpus may be a pipe such as `<(zcat text.gz)`, whose size is 0 and whose content is read
    once."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("To be, or not to be",))
    writer.start()

    found = scoring.corpus(path)

    writer.join()
    assert found.text == "To be, or not to be"


def test_a_corpus_has_an_end() -> None:
    """A device has no size and no end: no more is read of it than a text may have."""
    with pytest.raises(UsageError, match="more than 64 MiB"):
        scoring.corpus("/dev/zero")


def test_a_model_that_ends_texts_is_scored_over_the_text_alone(
    plan: Callable[..., Any], model: ModelFile, tmp_path: Path
) -> None:
    """EOS belongs neither before a window nor into the text, though the model's tokenizer adds
    it."""
    name = b"tokenizer.ggml.add_%s_token"
    data = model.path.read_bytes()
    for which in (b"bos", b"eos"):
        at = data.index(name % which) + len(name % which) + 4
        data = data[:at] + b"\1" + data[at + 1 :]
    path = tmp_path / "ends.gguf"
    path.write_bytes(data)
    tokenizer = tokenizer_of(ModelFile.open(path))
    plain = tokenizer_of(model).encode("To be, or not to be")
    assert tokenizer.encode("To be, or not to be") == [1, *plain, 2]
    text = tmp_path / "text.txt"
    text.write_text("To be, or not to be")

    windows = plan(path, corpus=text, n_prompt=2, n_gen=1, n_ctx=4).cases[0].scoring.windows
    smallest = plan(path, corpus=text, n_prompt=1, n_gen=1, n_ctx=2).cases[0].scoring.windows

    assert [token for window in windows for token in window[1:]] == plain
    assert {window[0] for window in windows} == {1}
    assert smallest == tuple((1, token) for token in plain)
    assert 2 not in plan(path, n_prompt=64).cases[0].prompt_tokens
