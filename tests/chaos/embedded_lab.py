"""An embedded Redis to be harmed: its folder on a small disk, its program slowed down at will, and
watched."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from edgeprof.shared.redis import server as redis_server
from edgeprof.shared.redis.embedded.owner import owner, works_in
from edgeprof.shared.settings import Settings
from tests.support.lab_settings import make_settings

DISK_BYTES = 64 * 1024 * 1024
_WATCH_EVERY_S = 0.02

#: Before the real program: what the campaign wants of this start. exec, as a wrapper should.
_WRAPPER = """\
#!/bin/sh
. {orders}
sleep $DELAY_S
exec {real} "$@" --key-load-delay $KEY_LOAD_DELAY
"""


class EmbeddedLab:
    """Use as a context manager; nothing of it is left at its end."""

    def __init__(self, pace: float = 1.0) -> None:
        self.pace = pace
        self.root = Path(tempfile.mkdtemp(prefix="edgeprof-embedded-"))
        self.settings: Settings = make_settings(self.root, None).model_copy(
            update={"store_patience_s": 20.0}
        )
        self.folder = self.settings.data_dir / "redis"
        #: Whether the disk is a real one of a few megabytes; else a file size limit stands for it.
        self.real_disk = False
        #: Every server that was seen, and how often two were seen at once.
        self.servers: set[int] = set()
        self.doubles = 0
        self._ended = threading.Event()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self.root, ignore_errors=True)
            self.settings.data_dir.mkdir()
            self.real_disk = _mounted(self.settings.data_dir)
            if self.real_disk:
                unmount = ["umount", "--lazy", str(self.settings.data_dir)]
                stack.callback(subprocess.run, unmount, check=False)
            path = os.environ["PATH"]
            stack.callback(os.environ.update, {"PATH": path})
            os.environ["PATH"] = f"{self._wrapper()}:{path}"
            stack.callback(redis_server.stop, self.settings, force=True)
            stack.callback(self.heal)
            watcher = threading.Thread(target=self._watch)
            watcher.start()
            stack.callback(watcher.join)
            stack.callback(self._ended.set)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def pid(self) -> int:
        """Return the process that owns the files; 0: none."""
        found = owner(self.folder)
        return found.pid if found else 0

    def commands(self) -> int:
        """Return how many commands the append-only file holds, more or less."""
        return sum(file.read_bytes().count(b"\n*") for file in self._files())

    def signal(self, number: signal.Signals) -> int:
        """Send the server a signal; returns its pid, 0 when there was none."""
        pid = self.pid
        with contextlib.suppress(ProcessLookupError):
            if pid:
                os.kill(pid, number)
        return pid

    def kill(self) -> None:
        """kill -9; returns when it is gone."""
        pid = self.signal(signal.SIGKILL)
        while pid and self.pid == pid:
            time.sleep(0.005)

    def fill(self) -> None:
        """Leave no room on the disk, not a byte."""
        if not self.real_disk:
            self._limit(sum(file.stat().st_size for file in self._files()))
            return
        with (self.settings.data_dir / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while ballast.write(bytes(size)):
                        pass

    def free(self) -> None:
        """Give the disk its room again."""
        if self.real_disk:
            (self.settings.data_dir / "ballast").unlink(missing_ok=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def slow_down(self, *, delay_s: float = 0, commands_a_nap: int = 0) -> None:
        """Have the next servers start so late, and sleep a moment after so many loaded commands."""
        orders = self.root / "orders.part"
        # Below zero it is one over the probability of a sleep.
        orders.write_text(f"DELAY_S={delay_s}\nKEY_LOAD_DELAY={-commands_a_nap}\n")
        orders.replace(self.root / "orders")

    def heal(self) -> None:
        """Undo all that was done, but for the dead."""
        self.slow_down()
        self.free()
        self.signal(signal.SIGCONT)

    def environment(self) -> dict[str, str]:
        """Return what a command of this lab is to see."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("EDGEPROF_")}
        return kept | self.settings.as_environment()

    def _files(self) -> list[Path]:
        return list(self.folder.glob("appendonlydir/*.incr.aof"))

    def _limit(self, size: int) -> None:
        pid = self.pid
        with contextlib.suppress(ProcessLookupError):
            if pid:
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def _wrapper(self) -> Path:
        wrapper = self.root / "bin" / "redis-server"
        wrapper.parent.mkdir()
        wrapper.write_text(
            _WRAPPER.format(orders=self.root / "orders", real=shutil.which("redis-server"))
        )
        wrapper.chmod(0o755)
        self.slow_down()
        return wrapper.parent

    def _watch(self) -> None:
        while not self._ended.wait(_WATCH_EVERY_S):
            now = set(_servers(self.folder))
            self.servers |= now
            self.doubles += len(now) > 1


def _servers(folder: Path) -> Iterator[int]:
    """Yield the redis-servers that work in a folder, whatever locks say."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                program = (entry / "cmdline").read_bytes().replace(b"\0", b" ").split(b" ")[0]
                # Not what comes before it: the launcher, and the wrapper's shell.
                if program.endswith(b"redis-server") and works_in(int(entry.name), folder):
                    yield int(entry.name)


def _mounted(folder: Path) -> bool:
    if os.geteuid() != 0:
        return False
    options = f"size={DISK_BYTES}"
    command = ["mount", "-t", "tmpfs", "-o", options, "edgeprof-chaos", str(folder)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
