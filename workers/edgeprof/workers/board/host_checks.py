"""Checks that this machine can do its part of a job: write its folders, lock boards, run tools.

A host that cannot would take one job after the other and fail them all, while others wait for work.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import HostFault
from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.locks import BoardLock

#: Room for a model and its slot image.
_LEAST_FREE_BYTES: Final = 16 * 1024 * 1024
_PROBE: Final = bytes(64 * 1024)


def check_host(settings: Settings) -> None:
    """Raise HostFault for something that every board of this machine needs."""
    for name in ("models", "slots"):
        _check_folder(settings.cache_dir / name, "EDGEPROF_CACHE_DIR")
    _check_folder(settings.data_dir / "undelivered", "EDGEPROF_DATA_DIR")
    with BoardLock(settings.lock_dir) as lock:
        lock.take("probe", str(os.getpid()))


def check_tools(config: BoardConfig) -> None:
    """Raise HostFault for a program of boards.toml that this machine does not have."""
    _check_program("flash", config.flash, "no_flash_tool")


def _check_folder(folder: Path, setting: str) -> None:
    """Write, flush and remove a file there: nothing less shows a full or dying disk."""
    hint = f"free space there or mend its rights, or set {setting}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe-") as file:
            file.write(_PROBE)
            file.flush()
            os.fsync(file.fileno())
            room = os.fstatvfs(file.fileno())
    except OSError as error:
        raise HostFault(
            f"cannot write to {folder}: {error.strerror}", code="folder", hint=hint
        ) from error
    free_bytes = room.f_bavail * room.f_frsize
    if free_bytes < _LEAST_FREE_BYTES:
        raise HostFault(
            f"{folder} has {free_bytes:,} bytes left, fewer than the {_LEAST_FREE_BYTES:,} that"
            " models need",
            code="disk_full",
            hint=hint,
        )


def _check_program(use: str, command: Sequence[str], code: str) -> None:
    if command and shutil.which(command[0]) is None:
        raise HostFault(
            f"{use} tool {command[0]} is not installed",
            code=code,
            hint=f"install it, or correct `{use}` in boards.toml",
        )
