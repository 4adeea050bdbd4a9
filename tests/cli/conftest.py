"""The command line as a user meets it: a real process, with folders of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-m", "edgeprof.cli"]


@pytest.fixture
def environment(tmp_path: Path, redis_url: str) -> dict[str, str]:
    """The environment of a user with an empty lab."""
    folders = {
        "EDGEPROF_DATA_DIR": str(tmp_path / "data"),
        "EDGEPROF_CACHE_DIR": str(tmp_path / "cache"),
        "EDGEPROF_LOCK_DIR": str(tmp_path / "locks"),
    }
    return {**os.environ, **folders, "EDGEPROF_REDIS_URL": redis_url, "COLUMNS": "200"}


@pytest.fixture
def edgeprof(environment: Mapping[str, str]) -> Edgeprof:
    """`edgeprof("jobs", "--json", EDGEPROF_HOST="x")`: run a command to its end."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        command: Sequence[str] = [*COMMAND, *arguments]
        return subprocess.run(
            command,
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
