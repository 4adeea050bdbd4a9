"""Runs the test cases of a job: warms up, repeats, checks against the host, summarises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opentelemetry import trace

from edgeprof.shared.errors import BoardFault, ModelError
from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.special_tokens import ended_at
from edgeprof.shared.models.tokenizer import Tokenizer, tokenizer_of
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec
from edgeprof.shared.types.profile import ModelDimensions
from edgeprof.shared.types.result import CaseResult, OutputCheck, ScoreResult
from edgeprof.workers.board.protocols import RunBoard, RunReport
from edgeprof.workers.profiling.board_clock import BoardClock
from edgeprof.workers.profiling.derive import derive
from edgeprof.workers.profiling.energy import EnergyAccount
from edgeprof.workers.profiling.looking import look
from edgeprof.workers.profiling.measure import check_output, summarize
from edgeprof.workers.profiling.progress import Progress
from edgeprof.workers.profiling.scoring import score_case
from edgeprof.workers.profiling.windows import windows_of


@dataclass(frozen=True, slots=True)
class CaseRunner:
    """Runs the cases of one job, one after the other, on the model that is loaded."""

    board: RunBoard
    spec: JobSpec
    model: ModelFile
    reference: Reference
    epoch: int
    progress: Progress
    should_stop: Callable[[], bool]
    clock: BoardClock
    energy: EnergyAccount
    tokenizer: Tokenizer | None
    dimensions: ModelDimensions

    def run(self, case: TestCase) -> CaseResult:
        """Return what one case measured. Raises a Fault, or Cancelled."""
        with trace.get_tracer("edgeprof").start_as_current_span(
            "test_case",
            attributes={"edgeprof.n_prompt": len(case.prompt_tokens), "edgeprof.n_gen": case.n_gen},
        ):
            return self._run(case)

    def _run(self, case: TestCase) -> CaseResult:
        spec = self.spec
        for index in range(spec.warmup):
            self._run_once(case, "warmup", f"warm-up {index + 1}/{spec.warmup}")
        runs = [
            self._run_once(case, "decode", f"repetition {index + 1}/{spec.repetitions}")
            for index in range(spec.repetitions)
        ]
        tokens = runs[0].tokens
        if any(run.tokens != tokens for run in runs):
            raise BoardFault(
                "greedy decoding gave different tokens from run to run", code="unstable_output"
            )
        check = self._check(case, tokens)
        score = self._score(case) if spec.score and windows_of(case) else None
        ended = ended_at(self.model, tokens[: case.n_gen])
        text = None
        if self.tokenizer is not None and case.n_gen > 0:
            text = self.tokenizer.decode(tokens[: case.n_gen if ended is None else ended])
        result = summarize(
            runs,
            len(case.prompt_tokens),
            n_gen=case.n_gen,
            text=text,
            ended_at_token=ended,
            output_check=check,
            score=score,
        )
        profile = None
        if spec.profile:
            profile = look(
                self.board, case, runs, self.epoch, self.progress, self.should_stop, self.clock
            )
        derived = derive(result, self.dimensions, self.board.hello.clock_hz)
        return result.model_copy(update={"profile": profile, "derived": derived})

    def _run_once(self, case: TestCase, phase: str, message: str) -> RunReport:
        """Run a case once; `phase` is "warmup" or "decode"."""
        self.progress.running("prefill" if phase == "decode" else phase, message, -1)
        self.clock.before_run()
        report = self.board.run(
            case.prompt_tokens,
            case.n_run,
            epoch=self.epoch,
            on_token=lambda index, _: self.progress.running(phase, message, index),
            should_stop=self.should_stop,
        )
        self.progress.run_done(case.n_run)
        placed = self.clock.ran(phase, report)
        if phase == "decode":
            self.energy.add(placed, case.n_gen)
        return report

    def _check(self, case: TestCase, tokens: tuple[int, ...]) -> OutputCheck | None:
        """Compare greedy tokens with the host's: a wrong answer is not a fast one (invariant 5).

        Research on kernels asks for no such check. A model whose numbers overflow fails without it
        too.
        """
        if not self.spec.check_output:
            self.reference.check_finite(case.prompt_tokens, tokens, self.spec.kv_type)
            return None
        expected = self.reference.greedy(
            case.prompt_tokens, case.n_run, self.spec.n_ctx, self.spec.kv_type
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
        return score_case(
            case,
            lambda window: self.board.score(window, epoch=self.epoch, should_stop=self.should_stop),
            lambda window: self.reference.score(window, self.spec.kv_type),
            self.progress,
            check=self.spec.check_output,
        )

    def _show(self, token: int | None) -> str:
        """Return a token for people: its id, and its text if the model has a tokenizer."""
        if token is None or self.tokenizer is None:
            return str(token)
        return f"{token} {self.tokenizer.decode([token])!r}"


def tokenizer_or_none(model: ModelFile) -> Tokenizer | None:
    """Return the model's tokenizer; token ids are enough to measure, text is for people."""
    try:
        return tokenizer_of(model)
    except ModelError:
        return None
