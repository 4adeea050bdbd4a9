"""The quantities of a result that can be compared, with their units and which way is better."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edgeprof.shared.types.result import CaseResult, Identity, JobResult

#: The timer of native boards. It is this host's; every other emulated board counts instructions.
_HOST_CLOCK: Final = "CLOCK_MONOTONIC"


class Nature(StrEnum):
    """Where the spread of a measure comes from."""

    #: The board's clock: repeated runs differ, except where instructions are counted.
    TIMED = "timed"
    #: Arithmetic or layout: the same inputs give the same value.
    EXACT = "exact"
    #: One value a job, of a meter.
    METERED = "metered"


@dataclass(frozen=True, slots=True)
class Measure:
    """One quantity. `of` returns its repeated values; () where it was not measured."""

    name: str
    unit: str
    more_is_better: bool
    nature: Nature
    of: Callable[[JobResult, CaseResult], Sequence[float]]


def _ram(result: JobResult, _case: CaseResult) -> Sequence[float]:
    used = sum(region.high_water_bytes for region in result.regions if region.kind == "ram")
    return (float(used),) if used else ()


def _prefill(_result: JobResult, case: CaseResult) -> Sequence[float]:
    return case.prefill_tokens_per_second.samples


def _decode(_result: JobResult, case: CaseResult) -> Sequence[float]:
    return case.decode_tokens_per_second.samples if case.decode_tokens_per_second else ()


def _perplexity(_result: JobResult, case: CaseResult) -> Sequence[float]:
    return (case.score.perplexity,) if case.score else ()


def _energy(result: JobResult, _case: CaseResult) -> Sequence[float]:
    if result.energy_samples_mj or result.energy_per_token_mj is None:
        return result.energy_samples_mj
    return (result.energy_per_token_mj,)


MEASURES: Final = {
    measure.name: measure
    for measure in (
        Measure("prefill", "t/s", True, Nature.TIMED, _prefill),
        Measure("decode", "t/s", True, Nature.TIMED, _decode),
        Measure("ttft", "s", False, Nature.TIMED, lambda _, case: case.ttft_s.samples),
        Measure("perplexity", "", False, Nature.EXACT, _perplexity),
        Measure("ram", "B", False, Nature.EXACT, _ram),
        Measure("energy", "mJ/token", False, Nature.METERED, _energy),
    )
}


def counts_instructions(identity: Identity) -> bool:
    """Whether the board's clock is deterministic: the same run takes the same time again."""
    return identity.emulated and identity.timer_name != _HOST_CLOCK
