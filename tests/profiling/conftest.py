"""A whole session on the real firmware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.models import ModelFile
from edgeprof.shared.models.catalogue import resolve
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, Target
from edgeprof.shared.types.result import JobResult
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.profiling.energy import EnergyMeter
from edgeprof.workers.profiling.profile_job import profile_job
from tests.profiling.session_types import Session


@pytest.fixture(scope="module")
def model() -> ModelFile:
    return resolve("shakespeare-240k")


@pytest.fixture
def session(model: ModelFile, tmp_path: Path) -> Session:
    """`session("fault=7:3", n_gen=8)` profiles the model on a native board with that query."""

    def start(
        query: str = "",
        *,
        n_gen: int = 8,
        should_stop: Callable[[], bool] = lambda: False,
        meter: EnergyMeter | None = None,
        **fields: Any,
    ) -> tuple[JobResult, list[dict[str, Any]]]:
        case = TestCase(prompt_tokens=(300, 400, 401, 402), n_gen=n_gen)
        spec = JobSpec(
            model=model.ref, target=Target(platform="native"), cases=(case,), n_ctx=64, **fields
        )
        options = OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")
        board = open_board(f"native://?uid=01&{query}".rstrip("&"), options)
        seen = []
        try:
            result = profile_job(
                board, spec, model.path, model, Reference(model),
                epoch=3, progress=lambda **fields: seen.append(fields),
                should_stop=should_stop, host="here", device_id="native-01", meter=meter,
            )  # fmt: skip
        finally:
            board.close()
        return result, seen

    return start
