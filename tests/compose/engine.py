"""The Docker Engine of these tests: the one that answers, or one that they start and end again."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

#: Debian's client builds with BuildKit by itself; one without its buildx plugin cannot.
DOCKER: Final = "/usr/bin/docker"
_START_LIMIT_S: Final = 60.0


@contextmanager
def engine(folder: Path) -> Iterator[str]:
    """Yield the DOCKER_HOST of an engine; what ours needs is kept in the folder, for the next
    run."""
    ready = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _answers(ready):
        yield ready
        return
    ours = f"unix://{folder}/docker.sock"
    with (folder / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(_daemon(folder, ours), stdout=log, stderr=log)
    try:
        _wait_for(ours, daemon, folder / "dockerd.log")
        yield ours
    finally:
        daemon.terminate()
        daemon.wait(timeout=_START_LIMIT_S)


def _daemon(folder: Path, address: str) -> list[str]:
    program = shutil.which("dockerd", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program is not None, "there is no dockerd: `make test-compose` installs Debian's"
    return [
        program,
        *("--host", address),
        *("--data-root", str(folder / "data")),
        *("--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "dockerd.pid")),
    ]


def _wait_for(address: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    deadline_s = time.monotonic() + _START_LIMIT_S
    while not _answers(address):
        late = daemon.poll() is not None or time.monotonic() > deadline_s
        assert not late, f"dockerd did not start:\n{log.read_text()[-2000:]}"
        time.sleep(0.1)


def _answers(address: str) -> bool:
    asked = subprocess.run([DOCKER, "--host", address, "info"], check=False, capture_output=True)
    return asked.returncode == 0
