"""Boards that are processes on this host, reached like any serial port: native:// and qemu://.

They are pyserial protocol handlers, so every board is a `serial.serial_for_url(url)` and there is one code path.
"""

from __future__ import annotations

import serial

PACKAGE = "edgeprof.workers.emulated"


def register() -> None:
    """Teach pyserial's serial_for_url() our schemes; safe to call twice."""
    if PACKAGE not in serial.protocol_handler_packages:
        serial.protocol_handler_packages.append(PACKAGE)
