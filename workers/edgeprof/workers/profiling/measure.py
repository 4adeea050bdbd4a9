"""From what the board timed to the numbers of a result. Pure functions, llama-bench's conventions.

prefill tokens/s = prompt tokens / prefill time; decode tokens/s = (n_gen - 1) / sum of steps, for
each repetition. The mean over repetitions is the mean of these, not total over total. The first
token belongs to prefill, so inter-token latency leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.types.result import CaseResult, OutputCheck, Samples, ScoreResult
from edgeprof.workers.board.protocols import MAX_NATS, RunReport

#: Boards and host agree bit for bit; this allows a port to have a logarithm of its own.
SCORE_TOLERANCE_NATS: Final = 1e-4


def check_output(got: Sequence[int], expected: Sequence[int]) -> OutputCheck:
    """Compare greedy tokens position by position; `matched` counts up to the first difference."""
    for position, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
        if mine != theirs:
            return OutputCheck(
                matched=position,
                of=len(expected),
                first_difference=position,
                expected_token=theirs,
                got_token=mine,
            )
    return OutputCheck(matched=len(expected), of=len(expected))


def summarize(
    runs: Sequence[RunReport],
    n_prompt: int,
    *,
    n_gen: int,
    text: str | None,
    ended_at_token: int | None = None,
    output_check: OutputCheck | None,
    score: ScoreResult | None,
) -> CaseResult:
    """Turn the repetitions of one case (at least one run) into its result.

    With n_gen 0 a run names one token, which ends its prefill; nothing was generated then. A time
    of zero raises BoardFault "timer_stuck", and never becomes an infinite speed.
    """
    for run in runs:
        if run.prefill_us <= 0 or any(step <= 0 for step in run.step_us):
            raise BoardFault("the board's timer stood still during a run", code="timer_stuck")
    steps_s = np.array([run.step_us for run in runs], dtype=np.float64) / 1e6  # (runs, n_gen - 1)
    decode = [(n_gen - 1) / float(row.sum()) for row in steps_s] if n_gen > 1 else []
    p50, p95, p99 = (
        (float(np.percentile(steps_s, q)) for q in (50, 95, 99))
        if n_gen > 1
        else (None, None, None)
    )
    first_tokens = [
        run.host_first_token_s - run.host_sent_s
        for run in runs
        if run.host_first_token_s is not None
    ]
    device_s = [(run.end_us - run.start_us) / 1e6 for run in runs]
    busy = [
        1 - min(run.idle_us / 1e6 / spent, 1.0)
        for run, spent in zip(runs, device_s, strict=True)
        if run.idle_us is not None and spent > 0
    ]
    return CaseResult(
        n_prompt=n_prompt,
        n_gen=n_gen,
        prefill_tokens_per_second=Samples.of([n_prompt / (run.prefill_us / 1e6) for run in runs]),
        decode_tokens_per_second=Samples.of(decode) if decode else None,
        ttft_s=Samples.of([run.prefill_us / 1e6 for run in runs]),
        ttft_host_s=Samples.of(first_tokens) if first_tokens else None,
        inter_token_p50_s=p50,
        inter_token_p95_s=p95,
        inter_token_p99_s=p99,
        position_latency_s=tuple(float(x) for x in np.median(steps_s, axis=0)) if n_gen > 1 else (),
        cpu_utilization=Samples.of(busy) if busy else None,
        run_device_s=Samples.of(device_s),
        run_host_s=Samples.of([run.host_done_s - run.host_sent_s for run in runs]),
        tokens=runs[0].tokens[:n_gen],
        ended_at_token=ended_at_token,
        text=text,
        output_check=output_check,
        score=score,
    )


def has_perplexity(log_likelihoods: Sequence[float]) -> bool:
    """Whether the perplexity of these log-likelihoods is a finite float."""
    with np.errstate(over="ignore"):
        return bool(-np.mean(log_likelihoods) <= MAX_NATS)


@dataclass(frozen=True, slots=True)
class ScoredWindow:
    """One window as the board and the host scored it. Entry i of each is about tokens[i + 1]."""

    tokens: Sequence[int]
    log_likelihoods: Sequence[float]
    top1: Sequence[int]
    reference_log_likelihoods: Sequence[float]
    reference_top1: Sequence[int]
    unquantized_top1: Sequence[int] | None = None

    def without(self, n: int) -> Self:
        """Return the window without what it says of its first n tokens."""
        return type(self)(
            self.tokens[n:],
            self.log_likelihoods[n:],
            self.top1[n:],
            self.reference_log_likelihoods[n:],
            self.reference_top1[n:],
            None if self.unquantized_top1 is None else self.unquantized_top1[n:],
        )


def summarize_score(windows: Sequence[ScoredWindow], context_tokens: int = 1) -> ScoreResult:
    """Return perplexity and top-1 agreement over a text, each of its tokens counted once.

    So many tokens at the beginning of each window but the first are only context. Top-1 is compared
    with the text, with the host's arithmetic on the same file, and with the unquantized model.
    """
    first, *later = windows
    longest = max(len(window.tokens) for window in windows)
    windows = [first, *(window.without(context_tokens - 1) for window in later)]
    nll = [-value for window in windows for value in window.log_likelihoods]
    mean = float(np.mean(nll))
    perplexity = math.exp(mean)
    error = float(np.std(nll, ddof=1)) / math.sqrt(len(nll)) if len(nll) > 1 else None
    expected = [value for window in windows for value in window.reference_log_likelihoods]
    pairs = [(w.top1, w.unquantized_top1) for w in windows if w.unquantized_top1 is not None]
    return ScoreResult(
        n_tokens=len(nll),
        nll_nats=mean,
        perplexity=perplexity,
        nll_stderr_nats=error,
        perplexity_stderr=None if error is None else perplexity * error,
        reference_perplexity=math.exp(-float(np.mean(expected))),
        n_windows=len(windows),
        window_tokens=longest,
        stride_tokens=longest - context_tokens if context_tokens > 1 else None,
        top1_agreement=_agreement((window.top1, window.reference_top1) for window in windows),
        accuracy=_agreement((window.top1, window.tokens[1:]) for window in windows),
        quantization_error_rate=1 - _agreement(pairs) if pairs else None,
    )


def check_score(window: ScoredWindow, number: int) -> None:
    """Compare a board's log-likelihoods with the host's (invariant 5). Raises ModelError."""
    both = zip(window.log_likelihoods, window.reference_log_likelihoods, strict=True)
    for position, (got, expected) in enumerate(both, 1):
        if not abs(got - expected) <= SCORE_TOLERANCE_NATS:
            raise ModelError(
                f"wrong score: token {position} of window {number} has log-likelihood {got:.6g}"
                f" nats, the host reference says {expected:.6g}",
                code="wrong_output",
                hint="the firmware or its compiler computes something else: docs/arithmetic.md",
            )


def _agreement(pairs: Iterable[tuple[Sequence[int], Sequence[int]]]) -> float:
    return float(np.mean([a == b for x, y in pairs for a, b in zip(x, y, strict=True)]))
