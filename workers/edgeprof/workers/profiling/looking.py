"""Profiles a case that was measured: one more run, whose tokens must be those of the others."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence

from edgeprof.shared.errors import BoardFault
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.profile import Phase, Profile
from edgeprof.workers.board.protocols import RunBoard, RunReport
from edgeprof.workers.profiling.board_clock import BoardClock
from edgeprof.workers.profiling.progress import Progress

#: Why a board has no profile. The worker's host upgrades boards, so the hint is for its owner.
TOO_OLD = "the board's firmware is of before link protocol 1.3: edgeprof boards upgrade"


def look(
    board: RunBoard,
    case: TestCase,
    runs: Sequence[RunReport],
    epoch: int,
    progress: Progress,
    should_stop: Callable[[], bool],
    clock: BoardClock,
) -> Profile | None:
    """Profile a case whose measured runs are given. None: the board's firmware cannot.

    The times of the profiled run are in no other number of the result.
    """
    progress.running("profile", "looking where the time goes", -1)
    clock.before_run()
    report = board.profile(
        case.prompt_tokens,
        case.n_run,
        epoch=epoch,
        on_token=lambda index, _: progress.running("profile", "profiled run", index),
        should_stop=should_stop,
    )
    progress.run_done(case.n_run)
    if report is None:
        return None
    if report.run.tokens != runs[0].tokens:
        raise BoardFault(
            "the profiled run gave other tokens than the measured ones", code="unstable_output"
        )
    clock.ran("profile", report.run, _shares(report.profile))
    plain_us = statistics.median(map(_window_us, runs))
    cost = _window_us(report.run) / plain_us - 1
    return report.profile.model_copy(update={"cost_of_looking": cost})


def _shares(profile: Profile) -> dict[Phase, dict[str, float]]:
    """Return each operator's share of a phase, for the phase's span: ticks are sums, no spans."""
    shares: dict[Phase, dict[str, float]] = {phase: defaultdict(float) for phase in Phase}
    for cell in profile.cells:
        share = cell.ticks / profile.window_ticks(cell.phase)
        shares[cell.phase][f"edgeprof.operator.{cell.operator}.share"] += share
    return shares


def _window_us(run: RunReport) -> int:
    return run.prefill_us + sum(run.step_us)
