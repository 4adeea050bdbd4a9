"""Runs external programs (flash tools, resets, meters): without credentials, and to a sure end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

_CHECK_INTERVAL_S = 0.1
#: How long a program that was asked to end may take before it is killed.
_END_S = 1.0


def environment() -> dict[str, str]:
    """Return the environment for external programs: ours without our settings.

    The login of Redis is among the settings.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("EDGEPROF_")}


def run(
    command: Sequence[str], limit_s: float, check_stop: Callable[[], None] = lambda: None
) -> tuple[int, str]:
    """Run a program to its end; returns its exit code, and what it wrote (errors, or else output).

    See run_apart().
    """
    code, out, err = run_apart(command, limit_s, check_stop)
    return code, err or out


def run_apart(
    command: Sequence[str],
    limit_s: float,
    check_stop: Callable[[], None] = lambda: None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> tuple[int, str, str]:
    """Run a program to its end; returns its exit code, its output, and its errors.

    `variables` are added to its environment. `check_stop` is called several times a second. When it
    raises, or when the time is up (subprocess.TimeoutExpired), the program is ended with everything
    that it has started. Raises OSError when there is no such program.
    """
    process = subprocess.Popen(
        command,
        env=environment() | dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # its children can be ended with it
    )
    until_s = time.monotonic() + limit_s
    with process:
        try:
            while True:
                check_stop()
                try:
                    out, err = process.communicate(timeout=_CHECK_INTERVAL_S)
                except subprocess.TimeoutExpired:
                    if time.monotonic() > until_s:
                        raise subprocess.TimeoutExpired(command, limit_s) from None
                else:
                    return process.returncode, out, err
        except BaseException:
            end(process)
            raise


def end(process: subprocess.Popen[Any]) -> None:
    """End a program with everything that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
