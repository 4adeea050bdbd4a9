"""Locking and opening a serial port, and saying why it cannot be done."""

from __future__ import annotations

import errno
import os
import select
from pathlib import Path
from urllib.parse import urlsplit

import serial

from edgeprof.shared.errors import HostFault
from edgeprof.workers import serial_urls
from edgeprof.workers.claims import BoardClaim


def open_port(url: str, baud: int) -> serial.SerialBase:
    """Open a pyserial URL; raises HostFault that says why not and what to do."""
    serial_urls.register()
    try:
        port = serial.serial_for_url(url, baudrate=baud, do_not_open=True)
        if isinstance(port, serial.Serial):
            port.exclusive = True  # a terminal program left open would eat half of the bytes
        port.write_timeout = 10.0
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise _open_fault(url, error) from error
    return port


def close_port(port: serial.SerialBase) -> None:
    """Close a port; that of pyserial's socket:// also when the other end is gone, where it leaves the socket open."""
    sock = getattr(port, "_socket", None)
    port.close()
    if sock is not None:
        sock.close()


def plugged_in(port: serial.SerialBase, url: str) -> bool:
    """Whether the other end is still there, without reading a byte: harmless while another thread uses the port."""
    if not urlsplit(url).scheme and not Path(url).exists():
        return False
    poll = select.poll()
    try:
        poll.register(port.fileno(), select.POLLRDHUP)
        return not poll.poll(0)
    except (serial.SerialException, OSError, ValueError):
        return True  # closed on purpose, to be opened again (a flash tool has it): no news


def _open_fault(url: str, error: Exception) -> HostFault:
    number = getattr(error, "errno", None)
    if number == errno.EACCES:
        return HostFault(
            f"{url}: no permission to open the port",
            code="port_denied",
            hint="add yourself to the group that owns it: sudo usermod -aG dialout $USER",
        )
    if number in {errno.EBUSY, errno.EWOULDBLOCK} or "exclusively lock" in str(error):
        return HostFault(
            f"{url}: the port is busy",
            code="port_busy",
            hint="another program has it open (a serial monitor?): lsof names it",
        )
    if number in {errno.ENOENT, errno.ENODEV, errno.ENXIO}:
        return HostFault(
            f"{url}: no such port", code="port_absent", hint="is the board plugged in and powered?"
        )
    return HostFault(f"{url}: cannot open: {error}", code="port_failed")


def lock_port(url: str, lock_dir: Path) -> BoardClaim:
    """Make the port this process' own, host-wide, before a byte is sent; HostFault names who has it."""
    claim = BoardClaim(lock_dir)
    claim.take("port", _resource(url))
    return claim


def _resource(url: str) -> str:
    """What two URLs of one port have in common: the device, or the chip of an emulated board."""
    parts = urlsplit(url)
    if parts.scheme in {"native", "qemu"}:
        uid = next((part for part in parts.query.split("&") if part.startswith("uid=")), "")
        return f"{parts.scheme}://{parts.netloc}?{uid}"
    return url if parts.scheme else os.path.realpath(url)
