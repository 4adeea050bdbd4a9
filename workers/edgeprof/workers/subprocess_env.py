"""What programs that are not ours may know, and how they are ended: flash tools, resets, meters."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

_LOOK_S = 0.1
#: From being asked to end until it is made to.
_END_S = 1.0


def environment() -> dict[str, str]:
    """Return our environment without our settings: the login of Redis is among them."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EDGEPROF_")}


def run(
    command: Sequence[str], limit_s: float, check_stop: Callable[[], None] = lambda: None
) -> tuple[int, str]:
    """Run a program to its end; returns its exit code, and what it wrote (errors, or else output).

    check_stop is called some times a second. When it raises, or the time is up
    (subprocess.TimeoutExpired), the program ends with whatever it has started. Raises OSError when
    there is no such program.
    """
    process = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all of it can be ended
    )
    until_s = time.monotonic() + limit_s
    with process:
        try:
            while True:
                check_stop()
                try:
                    out, err = process.communicate(timeout=_LOOK_S)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > until_s:
                        raise subprocess.TimeoutExpired(command, limit_s) from None
                else:
                    return process.returncode, err or out
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
