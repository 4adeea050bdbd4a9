"""Runs a flash program, and passes on what it says line by line while it runs.

esptool and stm32loader are programs here, not libraries: they print, they end the process on an
error, and their licence (GPL) is that of a program beside ours (docs/decisions/0022).
"""

from __future__ import annotations

import importlib.util
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from edgeprof.shared.errors import HostFault
from edgeprof.shared.sanitize import one_line
from edgeprof.workers import subprocess_env

#: The longest that one program may take: 16 MB over a slow line.
LIMIT_S: Final = 1800.0

#: A program that nobody wants any more is ended so soon.
_CHECK_EVERY_S: Final = 0.1

OnLine = Callable[[str], None]
#: Called several times a second; it raises when the program is to end.
CheckStop = Callable[[], None]


def is_installed(module: str) -> bool:
    """Whether run() would find the program."""
    return importlib.util.find_spec(module) is not None


def run(
    module: str,
    arguments: Sequence[str],
    on_line: OnLine,
    limit_s: float = LIMIT_S,
    check_stop: CheckStop = lambda: None,
) -> tuple[int, str]:
    """Run `python -m module`; returns its exit code and all it said.

    Raises HostFault when it is not installed, or does not end in time; and what check_stop raises.
    """
    if not is_installed(module):
        raise HostFault(
            f"{module} is not installed",
            code="no_flash_tool",
            hint="pip install 'tiny-llm-edge-profiler[flash]'",
        )
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env={**subprocess_env.environment(), "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for us, and we end it
    )
    try:
        said = _listen(module, process, on_line, limit_s, check_stop)
    finally:
        if process.poll() is None:
            subprocess_env.end(process)
    return process.returncode, said


def _listen(
    module: str,
    process: subprocess.Popen[bytes],
    on_line: OnLine,
    limit_s: float,
    check_stop: CheckStop,
) -> str:
    assert process.stdout is not None
    said, line, until_s = [], "", time.monotonic() + limit_s
    with selectors.DefaultSelector() as selector, process.stdout as output:
        selector.register(output, selectors.EVENT_READ)
        while True:
            check_stop()
            if not selector.select(_CHECK_EVERY_S):
                if time.monotonic() < until_s:
                    continue
                raise HostFault(
                    f"{module} did not end in {limit_s:.0f} s",
                    code="flash_timeout",
                )
            chunk = os.read(output.fileno(), 65536)
            *lines, line = re.split(r"[\r\n]+", line + chunk.decode(errors="replace"))
            if not chunk:
                lines, line = [line], ""
            for each in filter(str.strip, lines):
                said.append(each.strip())
                on_line(one_line(each.strip(), 200))
            if not chunk:
                process.wait()
                return "\n".join(said)


def last_words(said: str) -> str:
    """Return the end of what a program said, for an error message."""
    return one_line(" | ".join(said.splitlines()[-3:]), 400)
