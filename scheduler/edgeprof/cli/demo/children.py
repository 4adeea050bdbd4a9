"""Starts the programs of a lab, each with a log, and stops them in reverse order."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType

from edgeprof.shared import private_files
from edgeprof.shared.errors import InfrastructureError
from edgeprof.shared.settings import Settings

log = logging.getLogger(__name__)

_STOP_LIMIT_S = 25.0


class Terminated(Exception):  # noqa: N818 - not an error: SIGTERM
    """Raised in the main thread by SIGTERM, so that everything is stopped on the way out."""


@contextmanager
def sigterm_unwinds() -> Iterator[None]:
    """Raise Terminated in the block on SIGTERM, as Ctrl-C raises KeyboardInterrupt."""

    def unwind(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, unwind)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Children:
    """Child processes; each writes its output to `<name>.log` in one folder."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program. It ends when the stack closes, or (by setpriv) when we die."""
        command = list(command)
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", "TERM", "--", *command]
        with open(self.log_of(name), "ab", opener=private_files.opener) as output:
            process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C must reach this process only, which stops the others in order.
                start_new_session=True,
            )
        self._running[name] = process
        self._stack.callback(_stop, name, process)
        return process

    def edgeprof(self, name: str, *arguments: str, settings: Settings) -> subprocess.Popen[bytes]:
        """Start an edgeprof command with these settings."""
        command = [sys.executable, "-m", "edgeprof.cli", *arguments]
        return self.start(name, command, environment_of(settings))

    def check(self) -> None:
        """Raise InfrastructureError when a child has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise InfrastructureError(
                    f"{name} has ended by itself ({process.returncode})\n{self.tail(name)}"
                )

    def log_of(self, name: str) -> Path:
        """Return the path of a child's log."""
        return self._folder / f"{name}.log"

    def tail(self, name: str) -> str:
        """Return the last lines of a child's log, indented."""
        lines = self.log_of(name).read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-8:])


def environment_of(settings: Settings) -> dict[str, str]:
    """Return the environment of a child with these settings. The user's own are left out."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")}
    return inherited | settings.as_environment()


def ignore_signals() -> None:
    """Ignore Ctrl-C and SIGTERM from now on: a stop is under way."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _stop(name: str, process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        log.warning("%s did not stop; killing it", name)
        process.kill()
        process.wait()
