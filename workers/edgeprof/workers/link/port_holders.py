"""Which other programs have a device open."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def holders(path: str) -> list[str]:
    """Return "process 123 (minicom)" for each other process that has the device open.

    Only root sees what other users' processes have open.
    """
    with contextlib.suppress(OSError):
        device = os.stat(path)  # noqa: PTH116 - a URL's path as it stands
        if stat.S_ISCHR(device.st_mode):
            return [_name(pid) for pid in _others() if _has_open(pid, device.st_rdev)]
    return []


def _others() -> list[str]:
    own = str(os.getpid())
    return [name for name in os.listdir("/proc") if name.isdigit() and name != own]  # noqa: PTH208


def _has_open(pid: str, device: int) -> bool:
    # It has ended, or is another user's.
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/fd") as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                found = entry.stat()
                if stat.S_ISCHR(found.st_mode) and found.st_rdev == device:
                    return True
    return False


def _name(pid: str) -> str:
    try:
        return f"process {pid} ({Path('/proc', pid, 'comm').read_text().strip()})"
    except OSError:
        return f"process {pid}"
