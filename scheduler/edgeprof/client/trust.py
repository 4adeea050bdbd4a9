"""Reasons to doubt a measurement: it is unstable, warms up, or its board's clock drifts.

Boards that count instructions are never doubted: their time is computed, not measured.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Final

from edgeprof.client.measures import Measure, Nature, counts_instructions
from edgeprof.shared.types.result import CaseResult, JobView, Samples

#: A standard deviation of more than this share of the mean is unstable.
UNSTABLE: Final = 0.05
#: A fall of the speed over the runs by more than this share, that is steady too, is a drift.
_THERMAL: Final = 0.02
#: Least share of pairs of runs, of which the later is slower, that is no chance for few runs.
_STEADY: Final = 0.8
_FEWEST_RUNS: Final = 5
#: How far the board's clock may run from the host's.
_CLOCK: Final = 0.01
#: In shorter runs the link's delay is too large a part of the host's time.
_SHORTEST_RUN_S: Final = 1.0


class Doubt(StrEnum):
    """Why a number cannot be trusted."""

    UNSTABLE = "unstable"
    THERMAL_DRIFT = "thermal drift"
    CLOCK_DRIFT = "clock drift"


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A doubt about a job, with the figure that it comes from."""

    doubt: Doubt
    #: Name of the measure; "" when it is about all that the board's clock has timed.
    measure: str
    says: str

    def __str__(self) -> str:
        return f"{self.doubt}: {self.says}"


def doubts(view: JobView) -> list[Doubtful]:
    """Return what speaks against the speeds of a job; each doubt about a measure once."""
    if view.result is None or counts_instructions(view.result.identity):
        return []
    found: dict[tuple[Doubt, str], Doubtful] = {}
    for case in view.result.cases:
        for each in _doubts_of(case):
            # A process has no clock and no temperature of its own.
            if each.doubt is Doubt.UNSTABLE or not view.result.identity.emulated:
                found.setdefault((each.doubt, each.measure), each)
    return list(found.values())


def doubts_about(views: Iterable[JobView], measure: Measure) -> list[Doubtful]:
    """Return the doubts of these jobs about one measure; each kind once."""
    if measure.nature is not Nature.TIMED:
        return []
    about = {"", "prefill" if measure.name == "ttft" else measure.name}
    found = (each for view in views for each in doubts(view) if each.measure in about)
    return list({each.doubt: each for each in found}.values())


def unstable(samples: Samples) -> bool:
    """Whether repeated runs differ by more than UNSTABLE."""
    return samples.sd > UNSTABLE * samples.mean


def _doubts_of(case: CaseResult) -> list[Doubtful]:
    found = []
    speeds = {"prefill": case.prefill_tokens_per_second, "decode": case.decode_tokens_per_second}
    for name, speed in speeds.items():
        if speed is None:
            continue
        if unstable(speed):
            share = speed.sd / speed.mean
            says = f"runs of {name} differ by {share:.0%} (standard deviation)"
            found.append(Doubtful(Doubt.UNSTABLE, name, says))
        if slower := _slows_down(speed.samples):
            says = f"{name} becomes {slower:.1%} slower from the first runs to the last"
            found.append(Doubtful(Doubt.THERMAL_DRIFT, name, says))
    if drift := _clock_drift(case.run_device_s.samples, case.run_host_s.samples):
        found.append(Doubtful(Doubt.CLOCK_DRIFT, "", drift))
    return found


def _slows_down(speeds: Sequence[float]) -> float:
    """Return by which share the last third of the runs is slower, where the fall is steady."""
    if len(speeds) < _FEWEST_RUNS:
        return 0.0
    pairs = list(combinations(speeds, 2))
    slower = sum(later < earlier for earlier, later in pairs) / len(pairs)
    third = max(1, len(speeds) // 3)
    first, last = statistics.fmean(speeds[:third]), statistics.fmean(speeds[-third:])
    fall = 1 - last / first
    return fall if slower >= _STEADY and fall > _THERMAL else 0.0


def _clock_drift(device_s: Sequence[float], host_s: Sequence[float]) -> str:
    """Return how the board's clock differs from the host's; "" when it does not.

    The host's time has the link in it, so the board's may be less. It is never more, and its share
    hardly changes from run to run.
    """
    pairs = [
        (device, host)
        for device, host in zip(device_s, host_s, strict=False)
        if host > _SHORTEST_RUN_S
    ]
    if not pairs:
        return ""
    shares = [device / host for device, host in pairs]
    if (most := max(shares)) > 1 + _CLOCK:
        return f"the board counted {most - 1:.1%} more time than passed on the host"
    if max(shares) - min(shares) > _CLOCK:
        return f"board and host disagree by {max(shares) - min(shares):.1%} between runs"
    return ""
