"""The kinds of port that a board can be on: pyserial's own, and those of emulated boards.

The link asks here and in flash.py, so that it knows no emulator.
"""

from __future__ import annotations

from typing import Any

import serial

from edgeprof.workers import emulated
from edgeprof.workers.emulated import urls


def serial_port(url: str, **settings: Any) -> serial.SerialBase:
    """Return pyserial's handler for a URL of any kind, ours included."""
    emulated.register()
    port: serial.SerialBase = serial.serial_for_url(url, **settings)
    return port


def chip_behind(url: str) -> str | None:
    """Return what all URLs of one emulated board have in common; None for a real port."""
    return urls.chip_of(url)
