"""A mistyped name is the caller's error, whichever command it is given to."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from edgeprof.cli import exits

Edgeprof = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    "command",
    [
        "job nobody",
        "watch nobody",
        "watch nobody --json",
        "cancel nobody",
        "retry nobody",
        "boards drain nobody",
        "boards drain nobody --release-port",
        "boards resume nobody",
        "boards forget nobody",
        "boards test nobody",
        "boards identify nobody",
        "boards upgrade nobody",
        "boards history nobody",
        "boards history nobody --json",
        "submit -m nobody --platform native --wait-for-board",
        "submit -m shakespeare-240k --board nobody",
        "submit -m shakespeare-240k --platform nobody",
        "sweep nobody",
        "models inspect nobody",
        "models fits nobody",
        "models quantize nobody Q8_0 -o never.gguf",
    ],
)
def test_a_name_that_nothing_has_is_a_usage_error(edgeprof: Edgeprof, command: str) -> None:
    """A command exits with 2 for an unknown job, board, platform or model, and names it."""
    done = edgeprof(*command.split())

    assert done.returncode == exits.USAGE, done.stderr
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
