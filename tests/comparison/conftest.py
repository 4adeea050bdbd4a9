"""An archive of jobs made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeprof.scheduler.archive import Archive


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        yield opened
