"""A finished job made by hand, with numbers that are easy to recognise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeprof.scheduler.archive import Archive
from edgeprof.shared.types.result import JobView
from tests.support.finished_job import finished_job

MakeView = Callable[..., JobView]


@pytest.fixture
def make_view() -> MakeView:
    """`make_view(id, state=..., platform=..., quantization=..., finished_s=...)`."""
    return finished_job


@pytest.fixture
def archive_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'results.db'}"


@pytest.fixture
def archive(archive_url: str) -> Any:
    with Archive(archive_url) as opened:
        yield opened
