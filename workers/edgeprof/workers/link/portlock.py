"""One process a port, host-wide: the second fence under the job lease (architecture, section 4).

flock and not a pid file: the kernel lets go of it whatever kills the holder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from edgeprof.shared.errors import HostFault


class PortLock:
    """Holds a port from construction to release()."""

    def __init__(self, url: str, lock_dir: Path) -> None:
        lock_dir.mkdir(mode=0o1777, parents=True, exist_ok=True)
        name = hashlib.sha256(_resource(url).encode()).hexdigest()[:24]
        self._fd = os.open(lock_dir / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 64, 0).decode(errors="replace").strip() or "another process"
            os.close(self._fd)
            raise HostFault(
                f"{url}: the port is in use by {holder}",
                code="port_busy",
                hint="one edgeprof agent serves all boards of a host: stop the other one first",
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"process {os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let others have the port."""
        os.close(self._fd)


def _resource(url: str) -> str:
    """What two URLs of the same port have in common: the device, or the chip of an emulated board."""
    parts = urlsplit(url)
    if parts.scheme in {"native", "qemu"}:
        uid = next((p for p in parts.query.split("&") if p.startswith("uid=")), "")
        return f"{parts.scheme}://{parts.netloc}?{uid}"
    return os.path.realpath(url) if not parts.scheme else url
