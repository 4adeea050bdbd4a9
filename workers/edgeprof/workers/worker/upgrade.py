"""A board's worker puts its agent's firmware onto the board, when somebody asked for it.

`edgeprof flash` does it, in a process of its own: it takes the port as any other program does, and
what it needs is not in the memory of every worker. The image is this host's; none comes over the
network.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from edgeprof.shared.errors import Fault, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.shared.store.boards import UPGRADED
from edgeprof.shared.telemetry import logs
from edgeprof.workers import subprocess_env
from edgeprof.workers.board.port_kinds import chip_behind
from edgeprof.workers.board.worker_board import WorkerBoard
from edgeprof.workers.flashing.chips import image_of, images_of
from edgeprof.workers.flashing.descriptions import built_for

#: A flash over a slow serial line takes minutes.
_LIMIT_S: Final = 1800.0


def agent_firmware(worker_board: WorkerBoard) -> str:
    """Return the git hash of the firmware that this host would put onto the board; "" for none."""
    if chip_behind(worker_board.config.port) is not None:
        return ""  # an emulated board starts with the firmware that is here
    try:
        # Of several boards' images any: all are of one commit.
        images = images_of(worker_board.info.platform)
        description = built_for(images[0]) if images else None
    except Fault as fault:
        logs.operations.warning("%s", fault, extra=worker_board.log_fields)
        return ""
    return "" if description is None else description.git_hash


def upgrade(worker_board: WorkerBoard, settings: Settings, check_stop: Callable[[], None]) -> str:
    """Put this host's firmware onto a board whose port is released; returns the answer.

    What `check_stop` raises ends the program that writes.
    """
    if not worker_board.port_released:
        return "not upgraded: its port is in use"
    config = worker_board.config
    try:
        image = image_of(worker_board.info.platform, config.image)
    except UsageError as error:
        return f"not upgraded: {error}; {error.hint}"
    command = [sys.executable, "-m", "edgeprof.cli", "flash", config.flash_by or config.port]
    folders = {
        "EDGEPROF_LOCK_DIR": str(settings.lock_dir),
        "EDGEPROF_CACHE_DIR": str(settings.cache_dir),
        "EDGEPROF_FIRMWARE_DIR": str(settings.firmware_dir or ""),
    }
    try:
        code, said, complaint = subprocess_env.run_apart(
            [*command, "--platform", image, "--yes", "--json"],
            _LIMIT_S,
            check_stop,
            {name: folder for name, folder in folders.items() if folder},
        )
    except subprocess.TimeoutExpired:
        return f"not upgraded: edgeprof flash did not end in {_LIMIT_S:.0f} s"
    if code != 0:
        return f"not upgraded: {_errors(complaint)}"
    written: dict[str, Any] = json.loads(said)
    return f"{UPGRADED}: firmware {written['version']} ({written['git_hash'][:7]})"


def _errors(complaint: str) -> str:
    """Return what `edgeprof flash` says went wrong: its last error, and its hint."""
    at = complaint.rfind("error: ")
    return " ".join(complaint[max(at, 0) :].removeprefix("error: ").split())
