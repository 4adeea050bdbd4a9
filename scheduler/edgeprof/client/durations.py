"""Predicts how long jobs take, from jobs that have ended, and from the costs of operators."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from pydantic import ValidationError

from edgeprof.client import routing
from edgeprof.client.planning import Planned
from edgeprof.client.prediction.costs import Costs, Measured, fit, measured_of
from edgeprof.client.prediction.predict import predict
from edgeprof.shared.models.operators import dimensions_of
from edgeprof.shared.types.board import BoardInfo
from edgeprof.shared.types.job import Basis, Expected, JobSpec
from edgeprof.shared.types.result import JobView

#: So many ended jobs are looked at.
HISTORY: Final = 300


@dataclass(frozen=True, slots=True)
class _Past:
    """One ended attempt: how long it took by the host's clock, and what for."""

    platform: str
    model_sha256: str
    size_bytes: int
    token_s: float
    overhead_s: float
    #: How long the host waited for a run against what the board's clock said: emulated clocks have
    #: a speed of their own.
    host_per_board: float


class History:
    """Ended jobs, as far as they tell how long others will take."""

    def __init__(self, views: Iterable[JobView]) -> None:
        self._of: defaultdict[str, list[_Past]] = defaultdict(list)
        self._samples: defaultdict[str, list[Measured]] = defaultdict(list)
        self._costs: dict[str, Costs] = {}
        self._run_s: dict[tuple[str, str, str, int, int], float | None] = {}
        for view in views:
            if past := _past(view):
                self._of[past.platform].append(past)
            if view.result is not None:
                self._samples[view.result.identity.platform] += measured_of(view.result)

    def on(self, platform: str) -> Sequence[_Past]:
        """Return what ended on boards of a platform."""
        return self._of[platform]

    def costs(self, platform: str) -> Costs:
        """Return what operators cost on a platform, as far as it has profiles."""
        if platform not in self._costs:
            self._costs[platform] = fit(self._samples[platform])
        return self._costs[platform]

    def run_s(self, planned: Planned, n_prompt: int, n_run: int) -> float | None:
        """Return what a run costs by the board's clock; None where that is not known.

        Computed once for each shape of run, of which a sweep has few.
        """
        kv_type = planned.spec.kv_type
        key = (planned.platform, planned.model.sha256, str(kv_type), n_prompt, n_run)
        if key not in self._run_s:
            self._run_s[key] = _run_s(self.costs(planned.platform), planned, n_prompt, n_run)
        return self._run_s[key]


def expected(planned: Planned, history: History) -> Expected | None:
    """Return how long an attempt will take; None where nothing is known that tells it.

    A token takes as long as the same model's did on the platform, else what its operators cost.
    """
    past = history.on(planned.platform)
    if not past:
        return None
    overhead_s = median(job.overhead_s for job in past)
    same = [job.token_s for job in past if job.model_sha256 == planned.spec.model.sha256]
    if same:
        return _expected(overhead_s + median(same) * _tokens(planned.spec), Basis.HISTORY)
    board_s = _runs_s(planned, history)
    if board_s is None:
        return None
    host_per_board = median(job.host_per_board for job in past)
    return _expected(overhead_s + board_s * host_per_board, Basis.PREDICTED)


def _expected(seconds: float, basis: Basis) -> Expected | None:
    try:
        return Expected(attempt_s=seconds, basis=basis)
    except ValidationError:  # longer than any job may take: the record behind it is not sound
        return None


def attempt_s(planned: Planned, history: History) -> float | None:
    """Return how long an attempt will take; None where nothing has run on the platform.

    Where nothing better is known, a token takes as long as another model's, in proportion to size.
    """
    if found := expected(planned, history):
        return found.attempt_s
    past = history.on(planned.platform)
    if not past:
        return None
    per_byte_s = median(job.token_s / job.size_bytes for job in past)
    overhead_s = median(job.overhead_s for job in past)
    return overhead_s + per_byte_s * planned.spec.model.size_bytes * _tokens(planned.spec)


@dataclass(frozen=True, slots=True)
class Predicted:
    """How long a sweep will take, when nobody else's jobs are in the way."""

    #: Of each job; None where nothing is known.
    jobs_s: tuple[float | None, ...]
    #: Until the last of the known ones has ended, on the boards that the lab has now.
    all_s: float
    unknown: int


def sweep_s(planned: Sequence[Planned], boards: Sequence[BoardInfo], history: History) -> Predicted:
    """Return the duration of jobs that are queued together: boards of a platform share its jobs."""
    jobs_s: list[float | None] = []
    #: Of each group of boards that take the same jobs: when each is free.
    free: dict[frozenset[str], list[float]] = {}
    for job in planned:
        spec = job.spec
        able = routing.boards_of(spec.target, boards, spec.require)
        took_s = attempt_s(job, history)
        jobs_s.append(took_s)
        ids = frozenset(board.device_id for board in able)
        lanes = free.setdefault(ids, [0.0] * max(1, len(ids)))
        heapq.heapreplace(lanes, lanes[0] + (took_s or 0.0))
    ends = [max(lanes) for lanes in free.values()]
    return Predicted(tuple(jobs_s), max(ends, default=0.0), jobs_s.count(None))


def _run_s(costs: Costs, planned: Planned, n_prompt: int, n_run: int) -> float | None:
    if not costs.by_key:
        return None
    region = next((key.region for key in costs.by_key if key.region), "")
    dimensions = dimensions_of(planned.model, planned.spec.kv_type, region)
    found = predict(costs, dimensions, n_prompt, n_run)
    return None if found is None else found.run_s


def _runs_s(planned: Planned, history: History) -> float | None:
    """Return what all runs of a job take by the board's clock; None where it is not known."""
    spec, total_s = planned.spec, 0.0
    for case in spec.cases:
        run_s = history.run_s(planned, len(case.prompt_tokens), case.n_run)
        if run_s is None:
            return None
        tokens = len(case.prompt_tokens) + case.n_run - 1
        scored = sum(len(w) - 1 for w in case.scoring.windows) if case.scoring else 0
        runs = spec.repetitions + spec.warmup + spec.profile
        total_s += run_s * (runs + scored / tokens)
    return total_s


def _tokens(spec: JobSpec) -> int:
    """Return how many tokens all runs of a job take."""
    runs = spec.repetitions + spec.warmup + spec.profile
    generated = sum(runs * (len(case.prompt_tokens) + case.n_run - 1) for case in spec.cases)
    scored = sum(
        len(window) - 1 for case in spec.cases if case.scoring for window in case.scoring.windows
    )
    return generated + scored


def _past(view: JobView) -> _Past | None:
    if view.result is None or view.inputs is None or not view.attempts:
        return None
    last = view.attempts[-1]
    if last.ended_s is None:
        return None
    case = view.result.cases[0]
    steps = case.n_prompt + max(case.n_gen, 1) - 1
    token_s = case.run_host_s.mean / steps
    asked = view.inputs
    runs_s = (asked.repetitions + asked.warmup) * sum(
        each.run_host_s.mean for each in view.result.cases
    )
    scored = sum(
        len(window) - 1 for each in asked.cases if each.scoring for window in each.scoring.windows
    )
    overhead_s = last.ended_s - last.started_s - runs_s - scored * token_s
    return _Past(
        platform=view.result.identity.platform,
        model_sha256=view.model.sha256,
        size_bytes=view.model.size_bytes,
        token_s=token_s,
        overhead_s=max(overhead_s, 0.0),
        host_per_board=case.run_host_s.mean / max(case.run_device_s.mean, 1e-6),
    )
