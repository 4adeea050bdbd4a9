"""Finished jobs with speeds of one's choice."""

from __future__ import annotations

from collections.abc import Sequence

from edgeprof.shared.types.result import JobView, Samples
from tests.support.finished_job import finished_job

STEADY = (100.0, 101.0, 99.0, 100.5, 99.5)


def times(factor: float, speeds: Sequence[float] = STEADY) -> list[float]:
    return [factor * speed for speed in speeds]


def measured(
    job_id: str,
    speeds: Sequence[float],
    *,
    board: str = "s3-a",
    platform: str = "esp32s3",
    timer: str = "CCOUNT",
    firmware: str = "abc1234",
    finished_s: float = 1_800_000_000.0,
    host_s: Sequence[float] | None = None,
    device_s: Sequence[float] | None = None,
) -> JobView:
    """Return a job whose decode has these speeds, and whose prefill is twice as fast.

    Platform "esp32s3" is silicon, every other is emulated.
    """
    view = finished_job(job_id, platform=platform, finished_s=finished_s)
    assert view.result is not None
    case = view.result.cases[0].model_copy(
        update={
            "decode_tokens_per_second": Samples.of(speeds),
            "prefill_tokens_per_second": Samples.of([2 * speed for speed in speeds]),
            "run_host_s": Samples.of(host_s or [0.5]),
            "run_device_s": Samples.of(device_s or [0.4]),
        }
    )
    identity = view.result.identity.model_copy(
        update={
            "device_id": board,
            "board_uid": f"uid of {board}",
            "timer_name": timer,
            "firmware_git_hash": firmware,
        }
    )
    result = view.result.model_copy(update={"cases": (case,), "identity": identity})
    return view.model_copy(update={"result": result})
