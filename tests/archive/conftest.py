"""A finished job made by hand, with numbers that are easy to recognise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.scheduler.archive import Archive
from edgeprof.shared.types.job import Attempt, JobState
from edgeprof.shared.types.model import ModelRef, Quantization
from edgeprof.shared.types.result import (
    JobView,
)
from tests.support.finished_job import INPUTS, job_result

MakeView = Callable[..., JobView]


@pytest.fixture
def make_view() -> MakeView:
    """`make_view(id, state=..., platform=..., quantization=..., finished_s=...)`."""

    def make(
        job_id: str = "job1",
        *,
        state: JobState = JobState.SUCCEEDED,
        platform: str = "stm32f405",
        quantization: Quantization = Quantization.Q8_0,
        finished_s: float = 1_800_000_000.0,
        **others: Any,
    ) -> JobView:
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

    return make


@pytest.fixture
def archive_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def archive(archive_url: str) -> Any:
    with Archive(archive_url) as opened:
        yield opened
