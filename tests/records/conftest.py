"""A whole session on the real firmware, of a job with whatever a test asks."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.shared.models import ModelFile, catalogue
from edgeprof.shared.reference import Reference
from edgeprof.shared.types.case import TestCase
from edgeprof.shared.types.job import JobSpec, JobState, Target
from edgeprof.shared.types.result import JobResult, JobView
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.profiling.profile_job import profile_job

PROMPT = (300, 400, 401, 402)


@pytest.fixture(scope="session")
def model() -> ModelFile:
    return catalogue.resolve("shakespeare-240k")


def with_token(model: ModelFile, key: str, token: int, path: Path) -> ModelFile:
    """Write a model whose metadata names another token: the four bytes behind the key and its
    type."""
    name = f"tokenizer.ggml.{key}".encode()
    data = model.path.read_bytes()
    at = data.index(name) + len(name)
    assert data[at : at + 4] == struct.pack("<I", 4)  # u32
    path.write_bytes(data[: at + 4] + struct.pack("<I", token) + data[at + 8 :])
    return ModelFile.open(path)


@pytest.fixture
def session(model: ModelFile, tmp_path: Path) -> Callable[..., Any]:
    """`session(case, query="", model=..., **fields of JobSpec)`: the result, and progress seen."""

    def start(
        case: TestCase, query: str = "", *, of: ModelFile = model, meter: Any = None, **fields: Any
    ) -> tuple[JobResult, list[dict[str, Any]]]:
        # Schema 1 had no place for where a model comes from.
        old = fields.get("schema_version") == 1
        ref = of.ref.model_copy(update={"source": None}) if old else of.ref
        spec = JobSpec(
            model=ref, target=Target(platform="native"), cases=(case,), **{"n_ctx": 128} | fields
        )
        options = OpenOptions(lock_dir=tmp_path / "locks", slot_dir=tmp_path / "slots")
        board = open_board(f"native://?uid=01&{query}".rstrip("&"), options)
        seen: list[dict[str, Any]] = []
        try:
            result = profile_job(
                board, spec, of.path, of, Reference(of),
                epoch=3, progress=lambda **fields: seen.append(fields),
                should_stop=lambda: False, host="here", device_id="native-01", meter=meter,
            )  # fmt: skip
        finally:
            board.close()
        return result, seen

    return start


@pytest.fixture
def make_view(model: ModelFile) -> Callable[..., JobView]:
    """`make_view(result=...)`: a job that succeeded."""

    def make(result: JobResult, **fields: Any) -> JobView:
        base: dict[str, Any] = {
            "schema_version": 2, "id": "job1", "state": JobState.SUCCEEDED, "reason": "measured",
            "model": model.ref, "target": "native", "priority": 5, "user": "ada", "sweep_id": None,
            "created_s": 1.8e9, "started_s": 1.8e9, "finished_s": 1.8e9, "attempts": (),
            "trace_id": None, "result": result,
        }  # fmt: skip
        return JobView(**base | fields)

    return make
