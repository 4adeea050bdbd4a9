"""Scores a text on a board, window by window, and compares with the host (invariant 5)."""

from __future__ import annotations

from collections.abc import Callable

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.result import ScoreResult
from edgeprof.workers.board.protocols import ScoreReport
from edgeprof.workers.profiling.measure import (
    ScoredWindow,
    check_score,
    has_perplexity,
    summarize_score,
)
from edgeprof.workers.profiling.progress import Progress
from edgeprof.workers.profiling.windows import unquantized_top1_of, windows_of

#: Scores a window on the board.
BoardScore = Callable[[tuple[int, ...]], ScoreReport]
#: Scores a window on the host: log-likelihoods, and the likeliest token at each position.
ReferenceScore = Callable[[tuple[int, ...]], tuple[list[float], list[int]]]


def score_case(
    case: TestCase,
    on_board: BoardScore,
    on_host: ReferenceScore,
    progress: Progress,
    *,
    check: bool,
) -> ScoreResult:
    """Score all windows of a case; with `check` each has to agree with the host's."""
    windows, truth = windows_of(case), unquantized_top1_of(case)
    scored = []
    for number, window in enumerate(windows, 1):
        progress.running("score", f"window {number}/{len(windows)}", -1)
        top1 = None if truth is None else truth[number - 1]
        scored.append(_score_window(window, on_board, on_host, top1))
        if check:
            check_score(scored[-1], number)
        progress.run_done(len(window) - 1)
    progress.running("score", f"{len(windows)} windows scored", -1)
    if case.scoring is None:
        return summarize_score(scored)
    result = summarize_score(scored, case.scoring.context_tokens)
    text = {"text": case.scoring.text, "text_sha256": case.scoring.text_sha256}
    return result.model_copy(update=text)


def _score_window(
    window: tuple[int, ...],
    on_board: BoardScore,
    on_host: ReferenceScore,
    unquantized_top1: tuple[int, ...] | None,
) -> ScoredWindow:
    """Score one window on the host, then on the board. Raises ModelError, BoardFault.

    The host goes first: a model whose numbers overflow would look like a board that sends nonsense.
    """
    expected, top1 = on_host(window)
    if not has_perplexity(expected):
        raise ModelError(
            "the model finds this text so unlikely that its perplexity is no number"
            f" (least log-likelihood: {min(expected):g} nats)",
            code="not_finite",
        )
    report = on_board(window)
    if not has_perplexity(report.log_likelihood_nats):
        raise BoardFault(
            f"the board's least log-likelihood is {min(report.log_likelihood_nats):g} nats,"
            f" the host reference's {min(expected):g}",
            code="inconsistent",
        )
    return ScoredWindow(
        tokens=window,
        log_likelihoods=report.log_likelihood_nats,
        top1=report.top1,
        reference_log_likelihoods=expected,
        reference_top1=top1,
        unquantized_top1=unquantized_top1,
    )
