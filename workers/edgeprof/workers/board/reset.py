"""Resets a board that does not answer, in the way that boards.toml gives."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

from edgeprof.shared.errors import HostFault
from edgeprof.workers import subprocess_env
from edgeprof.workers.board import port_kinds
from edgeprof.workers.board.config import BoardConfig, HubPort, ResetCommand

_PULSE_S = 0.1
_COMMAND_LIMIT_S = 30.0


def reset(config: BoardConfig, check_stop: Callable[[], None] = lambda: None) -> None:
    """Reset the board, if boards.toml gives a way. Raises HostFault "reset_failed".

    `check_stop` is called several times a second while a program runs; when it raises, the program
    is ended.
    """
    match config.reset:
        case None:
            return
        case HubPort(hub=hub, port=port):
            _run(("uhubctl", "-l", hub, "-p", str(port), "-a", "cycle", "-d", "1"), check_stop)
        case ResetCommand(command=command):
            _run(tuple(word.replace("{port}", config.port) for word in command), check_stop)
        case line:
            _pulse(config.port, line)


def _pulse(port: str, line: str) -> None:
    """Pull a control line low for a moment: boards with a USB bridge reset on that."""
    try:
        with port_kinds.serial_port(port) as opened:
            setattr(opened, line, True)
            time.sleep(_PULSE_S)
            setattr(opened, line, False)
    except Exception as error:
        raise HostFault(
            f"{port}: cannot pulse {line.upper()}: {str(error) or type(error).__name__}",
            code="reset_failed",
        ) from error


def _run(command: tuple[str, ...], check_stop: Callable[[], None]) -> None:
    try:
        code, output = subprocess_env.run(command, _COMMAND_LIMIT_S, check_stop)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostFault(
            f"cannot reset by {command[0]}: {error}",
            code="reset_failed",
            hint="is it installed, and reset in boards.toml right?",
        ) from None
    if code != 0:
        last = output.strip().splitlines()[-1:]
        raise HostFault(
            f"{command[0]} could not reset the board: {' '.join(last) or f'exit {code}'}",
            code="reset_failed",
        )
