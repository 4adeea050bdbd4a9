"""A serial port whose other end is a child process on a socket pair.

It is a socket pair and not a pty. QEMU's pty throws away what the guest sends before somebody opens
it, and a socket shows at once that the other end is gone.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import socket
import subprocess
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

import serial

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.shared.settings import load_settings
from edgeprof.shared.spelling import suggestion
from edgeprof.workers import subprocess_env

STOP_GRACE_S = 1.0


class ChildSerial(serial.SerialBase):
    """What our schemes have in common; a subclass names the program to start."""

    #: The query keys of the URL and what they mean, for error messages.
    options: ClassVar[Mapping[str, str]] = {}
    #: Regular expressions for the values of some of them.
    values: ClassVar[Mapping[str, str]] = {}
    #: The longest chip id, in bytes.
    uid_max_bytes: ClassVar[int] = 16
    #: Where the program's standard error goes; None: to ours.
    stderr: ClassVar[int | None] = subprocess.DEVNULL
    #: Opening the port again would start another board.
    ends_with_its_board: ClassVar[bool] = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._socket: socket.socket | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._wake_read, self._wake_write = os.pipe()
        super().__init__(*args, **kwargs)

    @classmethod
    def check(cls, url: str) -> None:
        """Raise UsageError for a URL that can never work."""
        host, query = parse_board_url(url, cls.options)
        cls.check_host(host)
        if "uid" in query:
            hex_bytes(query["uid"], cls.uid_max_bytes, url)
        for key, pattern in cls.values.items():
            if key in query and not re.fullmatch(pattern, query[key]):
                raise UsageError(f"{url}: {key}={query[key]}: wants {cls.options[key]}")

    @classmethod
    def check_host(cls, host: str) -> None:
        """Raise UsageError for a host part of the URL that names no board; here none is refused."""

    @classmethod
    def upload_bytes_per_s(cls, host: str) -> int | None:  # noqa: ARG003 - chips differ
        """Return how fast this board takes a model in; None: too fast to matter."""
        return None

    @abstractmethod
    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return the command of the board's program, which speaks on the descriptor `fd`."""

    def lacks(self) -> str:
        """Return what the board's program needs and this machine has not; "" for nothing."""
        host, query = parse_board_url(str(self.portstr), self.options)
        try:
            self.command(host, query, fd=-1)
        except HostFault as fault:
            return f"{fault} ({fault.hint})" if fault.hint else str(fault)
        return ""

    def open(self) -> None:
        """Start the board; raises HostFault when its program is missing."""
        if self.is_open:
            raise serial.SerialException("port is already open")
        self.check(str(self.portstr))
        host, query = parse_board_url(str(self.portstr), self.options)
        ours, theirs = socket.socketpair()
        try:
            command = self.command(host, query, theirs.fileno())
            self._child = _spawn(command, theirs.fileno(), self.stderr)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._socket = ours
        self.is_open = True

    def close(self) -> None:
        """Stop the board; safe to call twice."""
        self.is_open = False
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child = None

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._connected().fileno()

    @property
    def in_waiting(self) -> int:
        """1 when there is something to read, as pyserial's socket:// does."""
        ready, _, _ = select.select([self._connected()], [], [], 0)
        return len(ready)

    def read(self, size: int = 1) -> bytes:
        """Read `size` bytes, or what came before the timeout."""
        sock, data = self._connected(), bytearray()
        deadline = None if self.timeout is None else time.monotonic() + self.timeout
        while len(data) < size:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            sources: list[Any] = [sock, self._wake_read]
            ready, _, _ = select.select(sources, [], [], left)
            if self._wake_read in ready:
                os.read(self._wake_read, 1024)
                break
            if not ready:
                break
            chunk = sock.recv(size - len(data))
            if not chunk:
                raise serial.SerialException(f"{self.portstr}: the board's process has ended")
            data += chunk
        return bytes(data)

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # pyserial says int | None
        """Write all of `data`, or raise after write_timeout."""
        sock = self._connected()
        view = memoryview(bytes(data))
        patience_s = self.write_timeout
        deadline = None if patience_s is None else time.monotonic() + patience_s
        while view:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            _, ready, _ = select.select([], [sock], [], left)
            if not ready:
                raise serial.SerialTimeoutException(f"{self.portstr}: the board takes no bytes")
            try:
                view = view[sock.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise serial.SerialException(f"{self.portstr}: {error}") from error
        return len(data)

    def flush(self) -> None:
        """Nothing is held back on this side."""

    def reset_input_buffer(self) -> None:
        """Throw away what has arrived."""
        while self.in_waiting:
            if not self._connected().recv(4096):
                break

    def reset_output_buffer(self) -> None:
        """Nothing is held back on this side."""

    def cancel_read(self) -> None:
        """Make a read() in another thread return."""
        os.write(self._wake_write, b"x")

    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise serial.PortNotOpenError
        return self._socket

    def _reconfigure_port(self, *_: object, **__: object) -> None:
        """A pipe has no line settings."""

    def __del__(self) -> None:
        super().__del__()
        os.close(self._wake_read)
        os.close(self._wake_write)


def parse_board_url(url: str, options: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Split `scheme://host?key=value`. Raises UsageError for unknown keys."""
    parts = urlsplit(url)
    if parts.path or parts.fragment:
        raise UsageError(
            f"{url}: {parts.path or '#' + parts.fragment!r} means nothing there",
            hint=f"options are ?key=value&..., e.g. {parts.scheme}://{parts.netloc}?uid=01",
        )
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    query = dict(pairs)
    for key in query:
        if key not in options:
            known = ", ".join(f"{name} ({meaning})" for name, meaning in options.items())
            near = suggestion(key, options)
            raise UsageError(f"{url}: unknown option {key!r}{near}", hint=f"known options: {known}")
    if len(pairs) > len(query):
        raise UsageError(f"{url}: an option is given twice")
    return parts.netloc, query


def hex_bytes(text: str, longest: int, url: str) -> bytes:
    """Return a chip id that is written in hex. Raises UsageError."""
    if not re.fullmatch(rf"([0-9a-fA-F]{{2}}){{1,{longest}}}", text):
        raise UsageError(f"{url}: uid={text}: wants 1 to {longest} bytes of hex, e.g. uid=01")
    return bytes.fromhex(text)


def firmware_dir() -> Path:
    """Return the folder of built firmware: EDGEPROF_FIRMWARE_DIR, the wheel's or the clone's."""
    package = Path(__file__).parents[1]
    packed = package / "firmware"  # by scripts/wheel_firmware.py
    built = package.parents[2] / "firmware" / "build"
    return load_settings().firmware_dir or (packed if packed.is_dir() else built)


def firmware_image(name: str, port: str) -> Path:
    """Return the path of a built image. Raises a HostFault with a hint how to build it."""
    path = firmware_dir() / port / name
    if not path.is_file():
        raise HostFault(
            f"no firmware for {port}: {path} does not exist",
            code="no_firmware",
            hint="in a clone: make firmware; else install a wheel of `make wheel`, which has it"
            " packed, or set EDGEPROF_FIRMWARE_DIR",
        )
    return path


# --- starting children that cannot outlive us ---
#
# The kernel sends the parent-death signal when the *thread* that forked ends. So one thread, which
# lives as long as the process, starts all children. setpriv is used because preexec_fn can deadlock
# in a process with threads.

_requests: SimpleQueue[
    tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]
]
_requests = SimpleQueue()
_spawner: threading.Thread | None = None
_spawner_pid = 0
_spawner_lock = threading.Lock()


def _serve_requests() -> None:
    while True:
        start, result = _requests.get()
        try:
            result.set_result(start())
        except OSError as error:
            result.set_exception(error)


def _spawn(command: Sequence[str], fd: int, stderr: int | None) -> subprocess.Popen[bytes]:
    global _spawner, _spawner_pid  # noqa: PLW0603 - one spawner a process, made again after a fork
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise HostFault("setpriv is missing", code="no_setpriv", hint="apt-get install util-linux")
    with _spawner_lock:
        if _spawner is None or _spawner_pid != os.getpid():
            _spawner = threading.Thread(target=_serve_requests, name="spawner", daemon=True)
            _spawner_pid = os.getpid()
            _spawner.start()

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [setpriv, "--pdeathsig", "KILL", "--", *command],
            env=subprocess_env.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            pass_fds=(fd,),
            start_new_session=True,  # Ctrl-C in a terminal is for the agent, not for boards
        )

    result: Future[subprocess.Popen[bytes]] = Future()
    _requests.put((start, result))
    try:
        return result.result()
    except OSError as error:
        raise HostFault(f"cannot start {command[0]}: {error}", code="spawn_failed") from error
