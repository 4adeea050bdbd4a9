"""A serial port, whichever handler of pyserial's its URL has: opened, used and closed here only.

Handlers raise what they like (termios.error, AttributeError on a socket that was dropped,
NotImplementedError), and each has its own idea of a timeout. Beyond this file there are faults that
name the URL, and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import select
import termios
import threading
import time
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import serial
from serial import rfc2217

from edgeprof.shared.errors import EdgeprofError
from edgeprof.workers.board import port_kinds
from edgeprof.workers.board.locks import BoardLock
from edgeprof.workers.board.protocols import Cancelled
from edgeprof.workers.link.port_faults import NETWORK, device_of, link_fault, open_fault, words

log = logging.getLogger(__name__)

#: A line that takes no byte for so long is broken: longer than a frame takes at 9600 baud.
WRITE_TIMEOUT_S = 3.0
#: How long a handler without a descriptor is waited for before we look around.
_POLL_S = 0.02

#: Raises what a wait is to end with when nobody wants it any more.
CheckStop = Callable[[], None]


def open_port(url: str, baud: int, check_stop: CheckStop = lambda: None) -> serial.SerialBase:
    """Open a pyserial URL; raises a HostFault with the reason and a remedy."""
    try:
        # Timeouts come first: an open rfc2217:// negotiates all settings anew for each change.
        port = port_kinds.serial_port(
            _patient(url), baudrate=baud, timeout=_POLL_S, do_not_open=True
        )
        if isinstance(port, serial.Serial):
            port.exclusive = True  # a terminal program left open would eat half of the bytes
        if not isinstance(port, rfc2217.Serial):  # it has none, and its socket gives up after 5 s
            port.write_timeout = WRITE_TIMEOUT_S
        if urlsplit(url).scheme in NETWORK:
            _connect(port, check_stop)
        else:
            _handler(port).open()
        _set_exclusive(port, exclusive=True)
    except (EdgeprofError, Cancelled):
        raise
    except Exception as error:
        raise open_fault(url, error) from error
    return port


def close_port(port: serial.SerialBase, url: str) -> None:
    """Close a port, and never fail: whoever closes one has given it up.

    pyserial's network handlers leave their socket open when the other end is gone.
    """
    sock = getattr(port, "_socket", None)
    _set_exclusive(port, exclusive=False)
    try:
        port.close()
        if sock is not None:
            sock.close()
    except Exception as error:  # noqa: BLE001 - handlers raise what they like
        log.warning("%s: cannot close the port: %s", url, words(error))


def read_port(port: serial.SerialBase, url: str, timeout_s: float) -> bytes:
    """Return what has come, waiting for the first byte until the timeout. Raises LinkFault."""
    with link_fault(url, "read"):
        descriptor = _descriptor(port)
        if descriptor is None:
            return _read_by_turns(port, timeout_s)
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        if not poll.poll(timeout_s * 1000):
            return b""
        if port.timeout != 0:
            port.timeout = 0
        return bytes(port.read(65536))


def write_port(port: serial.SerialBase, url: str, data: bytes) -> None:
    """Write all of `data`. Raises LinkFault."""
    with link_fault(url, "write"):
        port.write(data)


def rate_of(port: serial.SerialBase) -> int | None:
    """Return the line's rate in baud; None where there is none: a process, a TCP connection."""
    has_rate = isinstance(port, (serial.Serial, rfc2217.Serial))
    # pyserial's handler of cp2110:// cannot be imported without hidapi
    return port.baudrate if has_rate or type(port).__module__.endswith("_cp2110") else None


def set_rate(port: serial.SerialBase, url: str, baud: int) -> None:
    """Set the rate of a line that has one. Raises LinkFault."""
    with link_fault(url, f"set the rate to {baud} baud"):
        if rate_of(port) not in {None, baud}:
            port.baudrate = baud


def ends_with_its_board(port: serial.SerialBase) -> bool:
    """Whether the port is gone for good when its board is, as that of a child process."""
    return bool(getattr(port, "ends_with_its_board", False))


def plugged_in(port: serial.SerialBase, url: str) -> bool:
    """Whether the other end is still there.

    No byte is read, so this is harmless while another thread uses the port.
    """
    with contextlib.suppress(Exception):  # closed meanwhile, to be opened again: no news
        path = str(port.port if "://" in url else url)  # alt:// and hwgrep:// know their device
        if path.startswith("/") and not Path(path).exists():
            return False
        # The reader thread of rfc2217:// hides the descriptor of its socket.
        source = getattr(port, "_socket", None) or port
        poll = select.poll()
        poll.register(source.fileno(), select.POLLRDHUP)
        return not poll.poll(0)
    return True


def lock_port(url: str, lock_dir: Path) -> BoardLock:
    """Make the port this process' own on this host, before a byte is sent.

    Raises a HostFault that names the program which has it.
    """
    claim = BoardLock(lock_dir)
    claim.take("port", _resource(url))
    return claim


def _resource(url: str) -> str:
    """Return what two URLs of one port share: the device, or the chip of an emulated board."""
    if chip := port_kinds.chip_behind(url):
        return chip
    device = device_of(url)
    return os.path.realpath(device) if device.startswith("/") else url


def _handler(port: serial.SerialBase) -> Any:
    """Return the port, typed as every handler defines it; their common base does not."""
    return port


def _patient(url: str) -> str:
    """Have rfc2217:// not insist on control lines: ser2net never answers for those a tty lacks."""
    if urlsplit(url).scheme != "rfc2217":
        return url
    return f"{url}{'&' if urlsplit(url).query else '?'}ign_set_control"


def _connect(port: serial.SerialBase, check_stop: CheckStop) -> None:
    """Open in a thread: connecting over a network takes seconds, and nothing can interrupt it."""
    done: futures.Future[None] = futures.Future()

    def connect() -> None:
        try:
            _handler(port).open()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=connect, name="connect", daemon=True).start()
    sock = None
    try:
        while not futures.wait([done], timeout=_POLL_S).done:
            sock = getattr(port, "_socket", None) or sock
            check_stop()
        done.result()
    except BaseException:
        if sock is not None:  # pyserial forgets it when its other end is gone
            sock.close()
        done.add_done_callback(lambda _: close_port(port, str(port.port)))
        raise


def _set_exclusive(port: serial.SerialBase, *, exclusive: bool) -> None:
    """Keep out, or let in, the programs that look at no lock: their open() fails with EBUSY."""
    if isinstance(port, serial.Serial) and port.is_open:
        with contextlib.suppress(Exception):  # no tty, or gone: the next read or write tells
            fcntl.ioctl(port.fileno(), termios.TIOCEXCL if exclusive else termios.TIOCNXCL)


def _descriptor(port: serial.SerialBase) -> int | None:
    """Return what to wait on; None for handlers that read in a thread (rfc2217://, loop://)."""
    try:
        return port.fileno()
    except (io.UnsupportedOperation, NotImplementedError):
        return None


def _read_by_turns(port: serial.SerialBase, timeout_s: float) -> bytes:
    """Read from a handler that knows its own timeout only, which is short since the opening."""
    deadline = time.monotonic() + timeout_s
    while True:
        data: bytes = port.read(max(1, _handler(port).in_waiting))
        if data or time.monotonic() >= deadline:
            return bytes(data)
