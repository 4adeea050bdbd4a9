"""What follows from a case's speed and the model's sizes: cycles and bytes a token, and slopes."""

from __future__ import annotations

import numpy as np

from edgeprof.shared.models.operators import ATTENTION, calls_of
from edgeprof.shared.types.profile import Derived, ModelDimensions
from edgeprof.shared.types.result import CaseResult


def derive(case: CaseResult, dimensions: ModelDimensions, clock_hz: int | None) -> Derived:
    """Return what a measured case says beside its speed; clock_hz is the core's, if it is known."""
    prefill_s = case.ttft_s.mean
    if not case.position_latency_s:
        return Derived(prefill_share=1.0)
    steps_s = np.array(case.position_latency_s)
    step_s = float(steps_s.mean())
    #: Decode step i runs the token at position n_prompt + i, and reads all positions up to it.
    positions = case.n_prompt + 1 + np.arange(len(steps_s))
    calls = calls_of(dimensions, head=True)
    attended = float(positions.mean())
    macs = sum(
        call.count * call.macs * (attended if call.operator in ATTENTION else 1) for call in calls
    )
    weight_bytes = float(sum(call.count * call.weight_bytes for call in calls))
    cycles = None if clock_hz is None else step_s * clock_hz
    slope = float(np.polyfit(positions, steps_s, 1)[0]) if len(steps_s) > 1 else None
    return Derived(
        macs_per_token=macs,
        weight_bytes_per_token=weight_bytes,
        cycles_per_token=cycles,
        cycles_per_mac=None if cycles is None else cycles / macs,
        weight_bytes_per_second=weight_bytes / step_s,
        slope_s_per_position=slope,
        prefill_share=prefill_s / (prefill_s + float(steps_s.sum())),
    )
