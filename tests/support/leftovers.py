"""Processes that a test left running.

An agent that a test kills leaves its workers; they notice, and stop by themselves, but not at once.
Until then they write into Redis, which by then is the next test's.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
from functools import partial
from pathlib import Path

from tests.support.waiting import wait_until


def end_leftovers(folder: Path) -> None:
    """Kill every process that was started with `folder`, or one below it, in its environment."""
    named = re.compile(re.escape(os.fsencode(folder)) + rb"[/\0]")
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if named.search((process / "environ").read_bytes()):
                os.kill(int(process.name), signal.SIGKILL)
                wait_until(partial(_has_ended, process), f"process {process.name} has ended")


def _has_ended(process: Path) -> bool:
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
