"""How far a job is, in percent that never go back: loading first, then tokens of all runs."""

from __future__ import annotations

from typing import Protocol

from edgeprof.shared.types.job import JobSpec
from edgeprof.workers.profiling.upload_deadline import UploadDeadline
from edgeprof.workers.profiling.windows import windows_of

#: Share of the bar that loading takes; the rest is tokens.
_LOAD_PERCENT = 10.0


class ProgressSink(Protocol):
    """Where progress goes."""

    def __call__(self, *, phase: str, percent: float, tokens: int, message: str) -> None:
        """`percent` is of the whole job, `tokens` how many were generated, `message` for people."""
        ...


class Progress:
    """Counts the tokens that all runs of a job generate and score."""

    def __init__(self, spec: JobSpec, sink: ProgressSink) -> None:
        runs = spec.warmup + spec.repetitions + spec.profile
        self._total = sum(case.n_run for case in spec.cases) * runs
        if spec.score:
            self._total += sum(len(w) - 1 for case in spec.cases for w in windows_of(case))
        self._done = 0
        self._sink = sink
        self._deadline = UploadDeadline(spec.timeout_s)

    def loading(self, done: int, total: int) -> None:
        """Tell how many bytes of the model are there. Raises JobError if the rest is too late."""
        self._deadline.moved(done, total)
        percent = _LOAD_PERCENT * done / max(total, 1)
        self._sink(phase="load", percent=percent, tokens=0, message=f"{done}/{total} bytes")

    def running(self, phase: str, message: str, index: int) -> None:
        """Tell that the run has generated the token of this index; -1: it begins."""
        done = self._done + index + 1
        percent = _LOAD_PERCENT + (100 - _LOAD_PERCENT) * done / self._total
        self._sink(phase=phase, percent=min(percent, 100.0), tokens=done, message=message)

    def run_done(self, n_tokens: int) -> None:
        """Count a finished run."""
        self._done += n_tokens
