"""One profiling session: a claimed job carried out on an open board, from load to checked result."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from opentelemetry import trace

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.special import ended_at
from edgeprof.shared.models.tokenizer import Tokenizer, tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import SCHEMA_VERSION, JobSpec
from edgeprof.shared.types.result import CaseResult, Identity, JobResult, OutputCheck, ScoreResult
from edgeprof.workers.board.board import Board, RunReport
from edgeprof.workers.board.meter import Meter
from edgeprof.workers.profiling import upload_deadline
from edgeprof.workers.profiling.board_clock import BoardClock
from edgeprof.workers.profiling.measure import (
    ScoredWindow,
    check_output,
    check_score,
    has_perplexity,
    summarize,
    summarize_score,
)

#: Share of the bar that loading takes; the rest is tokens.
_LOAD_PERCENT = 10.0


class ProgressSink(Protocol):
    """Where progress goes: phase, percent of the whole job, tokens generated, one line for people."""

    def __call__(self, *, phase: str, percent: float, tokens: int, message: str) -> None: ...


class _Bar:
    """Counts tokens of all runs of a job, and those it scores, so that percent never goes back."""

    def __init__(self, spec: JobSpec, sink: ProgressSink) -> None:
        runs = spec.warmup + spec.repetitions
        self._total = sum(case.n_run for case in spec.cases) * runs
        if spec.score:
            self._total += sum(len(w) - 1 for case in spec.cases for w in windows_of(case))
        self._done = 0
        self._sink = sink
        self._upload = upload_deadline.Upload(spec.timeout_s)

    def loading(self, done: int, total: int) -> None:
        self._upload.moved(done, total)
        percent = _LOAD_PERCENT * done / max(total, 1)
        self._sink(phase="load", percent=percent, tokens=0, message=f"{done}/{total} bytes")

    def running(self, phase: str, message: str, index: int) -> None:
        done = self._done + index + 1
        percent = _LOAD_PERCENT + (100 - _LOAD_PERCENT) * done / self._total
        self._sink(phase=phase, percent=min(percent, 100.0), tokens=done, message=message)

    def run_done(self, n_tokens: int) -> None:
        self._done += n_tokens


def windows_of(case: TestCase) -> tuple[tuple[int, ...], ...]:
    """Return what is scored of a case: its text's windows, or its prompt, as in schema 1."""
    if case.scoring is not None:
        return case.scoring.windows
    return (case.prompt_tokens,) if len(case.prompt_tokens) > 1 else ()


class Session:
    """The parts of one session, so that they need not be passed around."""

    def __init__(
        self,
        board: Board,
        spec: JobSpec,
        model: ModelFile,
        reference: Reference,
        epoch: int,
        progress: ProgressSink,
        should_stop: Callable[[], bool],
        clock: BoardClock,
        meter: Meter | None,
    ) -> None:
        self._board = board
        self._clock = clock
        self._meter = meter
        #: Of every repetition, None where there is no energy: millijoule, tokens generated.
        self._energy: list[tuple[float | None, int]] = []
        self._spec = spec
        self._model = model
        self._reference = reference
        self._epoch = epoch
        self.bar = _Bar(spec, progress)
        self._should_stop = should_stop
        self._tokenizer = _tokenizer_or_none(model)

    def case(self, case: TestCase) -> CaseResult:
        """Warm up, repeat, check, and summarise one test case."""
        with trace.get_tracer("edgeprof").start_as_current_span(
            "test_case",
            attributes={"edgeprof.n_prompt": len(case.prompt_tokens), "edgeprof.n_gen": case.n_gen},
        ):
            return self._case(case)

    def _case(self, case: TestCase) -> CaseResult:
        spec = self._spec
        for index in range(spec.warmup):
            self._run(case, "warmup", f"warm-up {index + 1}/{spec.warmup}")
        runs = [
            self._run(case, "decode", f"repetition {index + 1}/{spec.repetitions}")
            for index in range(spec.repetitions)
        ]
        tokens = runs[0].tokens
        if any(run.tokens != tokens for run in runs):
            raise BoardFault(
                "greedy decoding gave different tokens from run to run", code="unstable_output"
            )
        check = self._check(case, tokens) if spec.check_output else None
        score = self._score(case) if spec.score and windows_of(case) else None
        ended = ended_at(self._model, tokens[: case.n_gen])
        text = None
        if self._tokenizer is not None and case.n_gen > 0:
            text = self._tokenizer.decode(tokens[: case.n_gen if ended is None else ended])
        return summarize(
            runs,
            len(case.prompt_tokens),
            n_gen=case.n_gen,
            text=text,
            ended_at_token=ended,
            output_check=check,
            score=score,
        )

    def _run(self, case: TestCase, phase: str, message: str) -> RunReport:
        self.bar.running("prefill" if phase == "decode" else phase, message, -1)
        self._clock.before_run()
        report = self._board.run(
            case.prompt_tokens,
            case.n_run,
            epoch=self._epoch,
            on_token=lambda index, _: self.bar.running(phase, message, index),
            should_stop=self._should_stop,
        )
        self.bar.run_done(case.n_run)
        placed = self._clock.ran(phase, report)
        if self._meter is not None and phase == "decode":
            energy_mj = self._meter.energy_mj(placed.start_s, placed.end_s) if placed else None
            self._energy.append((energy_mj, case.n_gen))
        return report

    def energy_per_token_mj(self) -> float | None:
        """Return millijoule per generated token, prefill included; None unless every repetition was metered,
        and when nothing was generated."""
        metered = [energy for energy, _ in self._energy if energy is not None]
        generated = sum(tokens for _, tokens in self._energy)
        if not metered or len(metered) < len(self._energy) or generated == 0:
            return None
        return sum(metered) / generated

    def energy_trouble(self) -> str | None:
        """Return why there is no energy; None where there is, or no meter."""
        if self._meter is None or self.energy_per_token_mj() is not None:
            return None
        if not any(tokens for _, tokens in self._energy):
            return "no token was generated"
        return self._clock.trouble or f"{self._meter.kind} told too little during a repetition"

    def _check(self, case: TestCase, tokens: tuple[int, ...]) -> OutputCheck:
        """Hold greedy tokens to the host reference: a wrong answer is not a fast answer (invariant 5)."""
        expected = self._reference.greedy(
            case.prompt_tokens, case.n_run, self._spec.n_ctx, self._spec.kv_type
        )
        check = check_output(tokens, expected)
        if check.first_difference is not None:
            raise ModelError(
                f"wrong output: generated token {check.first_difference} is"
                f" {self._show(check.got_token)}, the host reference says"
                f" {self._show(check.expected_token)} ({check.matched} of {check.of} match)",
                code="wrong_output",
                hint="the firmware or its compiler computes something else: docs/arithmetic.md",
            )
        return check

    def _score(self, case: TestCase) -> ScoreResult:
        """Score a text window by window, and hold each to the host's arithmetic."""
        windows = windows_of(case)
        truth: tuple[tuple[int, ...], ...] | None
        if case.scoring is not None:
            truth = case.scoring.unquantized_top1
        else:
            truth = None if case.unquantized_top1 is None else (case.unquantized_top1,)
        scored = []
        for number, window in enumerate(windows, 1):
            self.bar.running("score", f"window {number}/{len(windows)}", -1)
            # First: a model whose numbers overflow would look like a board that sends nonsense.
            expected, top1 = self._reference.score(window, self._spec.kv_type)
            if not has_perplexity(expected):
                raise ModelError(
                    "the model finds this text so unlikely that its perplexity is no number"
                    f" (least log-likelihood: {min(expected):g} nats)",
                    code="not_finite",
                )
            report = self._board.score(window, epoch=self._epoch, should_stop=self._should_stop)
            if not has_perplexity(report.log_likelihood_nats):
                raise BoardFault(
                    f"the board's least log-likelihood is {min(report.log_likelihood_nats):g} nats,"
                    f" the host reference's {min(expected):g}",
                    code="inconsistent",
                )
            scored.append(
                ScoredWindow(
                    tokens=window,
                    log_likelihoods=report.log_likelihood_nats,
                    top1=report.top1,
                    reference_log_likelihoods=expected,
                    reference_top1=top1,
                    unquantized_top1=truth[number - 1] if truth is not None else None,
                )
            )
            if self._spec.check_output:
                check_score(scored[-1], number)
            self.bar.run_done(len(window) - 1)
        self.bar.running("score", f"{len(windows)} windows scored", -1)
        score = summarize_score(scored)
        if case.scoring is None:
            return score
        named = {"text": case.scoring.text, "text_sha256": case.scoring.text_sha256}
        return score.model_copy(update=named)

    def _show(self, token: int | None) -> str:
        if token is None or self._tokenizer is None:
            return str(token)
        return f"{token} {self._tokenizer.decode([token])!r}"


def profile(
    board: Board,
    spec: JobSpec,
    model_path: Path,
    model: ModelFile,
    reference: Reference,
    *,
    epoch: int,
    progress: ProgressSink,
    should_stop: Callable[[], bool],
    host: str,
    device_id: str,
    meter: Meter | None = None,
) -> JobResult:
    """Carry out a job on an open board. Raises a Fault, or Cancelled when `should_stop` said so."""
    tracer = trace.get_tracer("edgeprof")
    clock = BoardClock(board)
    with tracer.start_as_current_span("device_connection") as span:
        span.set_attribute("edgeprof.clock_offset_error_s", clock.look().error_s)
    session = Session(board, spec, model, reference, epoch, progress, should_stop, clock, meter)
    with tracer.start_as_current_span("model_loading"):
        began_s = time.monotonic()
        load, memory = board.load(
            model_path,
            spec.model.sha256,
            n_ctx=spec.n_ctx,
            kv_type=spec.kv_type,
            epoch=epoch,
            on_progress=session.bar.loading,
            should_stop=should_stop,
        )
        clock.loaded(load.load_device_s, began_s)
    with tracer.start_as_current_span("inference_profiling"):
        cases = tuple(session.case(case) for case in spec.cases)
    stats = board.stats()
    return JobResult(
        schema_version=SCHEMA_VERSION,
        model=spec.model,
        identity=_identity(board, host, device_id),
        load=load,
        cases=cases,
        memory=memory,
        regions=stats.regions,
        temperature_celsius=stats.temperature_celsius,
        temperature_emulated=stats.temperature_emulated,
        energy_per_token_mj=(energy_mj := session.energy_per_token_mj()),
        energy_meter=meter.kind if meter is not None and energy_mj is not None else None,
        energy_trouble=session.energy_trouble(),
        clock_trouble=clock.trouble or None,
    )


def _identity(board: Board, host: str, device_id: str) -> Identity:
    hello = board.hello
    return Identity(
        device_id=device_id,
        platform=hello.platform,
        host=host,
        board_uid=hello.uid,
        emulated=hello.emulated,
        clock_hz=hello.clock_hz,
        timer_name=hello.timer_name,
        timer_resolution_ns=hello.timer_resolution_ns,
        firmware_version=hello.firmware_version,
        firmware_git_hash=hello.firmware_git_hash,
        toolchain=hello.toolchain,
        protocol=hello.protocol,
        edgeprof_version=version("tiny-llm-edge-profiler"),
    )


def _tokenizer_or_none(model: ModelFile) -> Tokenizer | None:
    """Token ids are enough to measure; text is for people."""
    try:
        return tokenizer_of(model)
    except ModelError:
        return None
