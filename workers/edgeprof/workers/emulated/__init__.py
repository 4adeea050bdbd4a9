"""Boards that are processes on this host, reached like any serial port.

native:// is the firmware as a process; qemu://, rp2040js:// and labwired:// run it on an emulated
chip. They are pyserial protocol handlers, so every board is a `serial.serial_for_url(url)`, and
there is one code path. pyserial looks for the handler of SCHEME:// in a module that is called
`protocol_SCHEME`, and for a class `Serial` in it; hence the names protocol_native.py and so on.
This package may import only `metrics` and `subprocess_env` of `workers`.
"""

from __future__ import annotations

import serial

PACKAGE = "edgeprof.workers.emulated"


def register() -> None:
    """Let pyserial's serial_for_url() find our schemes; safe to call twice."""
    if PACKAGE not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(PACKAGE)
