"""A finished job made by hand, with numbers that are easy to recognise."""

from __future__ import annotations

from typing import Any

from edgeprof.shared.types.job import Attempt, JobState
from edgeprof.shared.types.model import KvType, ModelRef, Quantization
from edgeprof.shared.types.result import (
    CaseResult,
    Identity,
    InputCase,
    Inputs,
    JobResult,
    JobView,
    LoadResult,
    OutputCheck,
    Samples,
)

INPUTS = Inputs(
    schema_version=2,
    cases=(
        InputCase(
            prompt_source="text",
            prompt_text="To be\n",
            prompt_characters=6,
            prompt_tokens=(1, 2, 3),
            n_gen=32,
        ),
    ),
    repetitions=3,
    warmup=1,
    n_ctx=128,
    kv_type=KvType.F16,
    check_output=True,
    score=False,
    timeout_s=600.0,
    queue_timeout_s=86400.0,
    max_attempts=3,
    tags={"shelf": "2"},
    source="python 0.1.0",
    tensor_bytes=260_000,
)


def job_result(model: ModelRef, platform: str) -> JobResult:
    return JobResult(
        model=model,
        identity=Identity(
            device_id=f"{platform}-1",
            platform=platform,
            host="bench",
            board_uid="0badcafe",
            emulated=platform != "esp32s3",
            clock_hz=168_000_000,
            timer_name="dwt",
            timer_resolution_ns=6,
            firmware_version="0.1.0",
            firmware_git_hash="abc1234",
            toolchain="gcc 12.2",
            protocol=(1, 0),
            edgeprof_version="0.1.0",
        ),
        load=LoadResult(
            how="flash",
            region="flash",
            load_device_s=0.01,
            transfer_s=None,
            transfer_bytes=0,
            transfer_bytes_per_second=None,
            n_ctx=128,
            kv_type="F16",
        ),
        cases=(
            CaseResult(
                n_prompt=64,
                n_gen=32,
                prefill_tokens_per_second=Samples.of([200.0, 210.0, 220.0]),
                decode_tokens_per_second=Samples.of([100.0, 101.0, 102.0]),
                ttft_s=Samples.of([0.3, 0.31, 0.32]),
                ttft_host_s=Samples.of([0.4, 0.41, 0.42]),
                inter_token_p50_s=0.0099,
                inter_token_p95_s=0.0105,
                inter_token_p99_s=0.011,
                position_latency_s=(0.0098, 0.0099),
                cpu_utilization=None,
                run_device_s=Samples.of([0.6]),
                run_host_s=Samples.of([0.7]),
                tokens=(1, 2, 3),
                text="[bold]To be",
                output_check=OutputCheck(matched=32, of=32),
            ),
        ),
        memory=(),
        regions=(),
    )


def finished_job(
    job_id: str = "job1",
    *,
    state: JobState = JobState.SUCCEEDED,
    platform: str = "stm32f405",
    quantization: Quantization = Quantization.Q8_0,
    finished_s: float = 1_800_000_000.0,
    **others: Any,
) -> JobView:
    """Return a job that has ended; `others` are fields of the view."""
    model = ModelRef(
        name="tiny",
        sha256="ab" * 32,
        size_bytes=264_000,
        quantization=quantization,
        n_params=238_144,
        n_ctx_train=256,
        n_vocab=640,
    )
    attempt = Attempt(
        number=1, epoch=7, device_id=f"{platform}-1", host="bench", started_s=1.0, ended_s=2.0
    )
    fields: dict[str, Any] = {
        "schema_version": 2,
        "inputs": INPUTS,
        "id": job_id,
        "state": state,
        "reason": "done",
        "model": model,
        "target": platform,
        "priority": 5,
        "user": "ada",
        "sweep_id": None,
        "created_s": finished_s - 10,
        "started_s": finished_s - 5,
        "finished_s": finished_s,
        "attempts": (attempt,),
        "trace_id": "f" * 32,
        "result": job_result(model, platform) if state is JobState.SUCCEEDED else None,
    }
    return JobView(**(fields | others))
