"""An archive for the commands and pages that read one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeprof.scheduler.archive import Archive


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The archive that commands open, empty."""
    monkeypatch.setenv("EDGEPROF_DATA_DIR", str(tmp_path))
    with Archive(f"sqlite:///{tmp_path / 'results.db'}") as opened:
        yield opened
