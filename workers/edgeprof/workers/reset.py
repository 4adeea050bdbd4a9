"""Resetting a board that does not answer, in the way boards.toml tells."""

from __future__ import annotations

import subprocess
import time

import serial

from edgeprof.shared.errors import HostFault
from edgeprof.workers import strangers
from edgeprof.workers.config import BoardConfig, HubPort, ResetCommand

_PULSE_S = 0.1
_COMMAND_LIMIT_S = 30.0


def reset(config: BoardConfig) -> None:
    """Reset the board; raises HostFault "reset_failed". Nothing happens without a method."""
    match config.reset:
        case None:
            return
        case HubPort(hub=hub, port=port):
            _run(("uhubctl", "-l", hub, "-p", str(port), "-a", "cycle", "-d", "1"))
        case ResetCommand(command=command):
            _run(tuple(word.replace("{port}", config.port) for word in command))
        case line:
            _pulse(config.port, line)


def _pulse(port: str, line: str) -> None:
    """Pull a control line low for a moment, as reset circuits of boards with a USB bridge want it."""
    try:
        with serial.Serial(port) as opened:
            setattr(opened, line, True)
            time.sleep(_PULSE_S)
            setattr(opened, line, False)
    except (serial.SerialException, OSError) as error:
        raise HostFault(
            f"{port}: cannot pulse {line.upper()}: {error}", code="reset_failed"
        ) from None


def _run(command: tuple[str, ...]) -> None:
    try:
        done = subprocess.run(
            command,
            env=strangers.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_COMMAND_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostFault(
            f"cannot reset by {command[0]}: {error}",
            code="reset_failed",
            hint="is it installed, and reset in boards.toml right?",
        ) from None
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise HostFault(
            f"{command[0]} could not reset the board: {' '.join(last) or f'exit {done.returncode}'}",
            code="reset_failed",
        )
