"""`python -m edgeprof.workers.emulated URL…`: what this machine lacks for each, as JSON.

{URL: reason}, without the boards that can be started. No board is.
"""

from __future__ import annotations

import json
import sys

import serial

from edgeprof.workers import emulated
from edgeprof.workers.emulated.child import ChildSerial


def main() -> None:
    """Look for the emulator and the firmware of each board."""
    emulated.register()
    missing: dict[str, str] = {}
    for url in sys.argv[1:]:
        board = serial.serial_for_url(url, do_not_open=True)
        if isinstance(board, ChildSerial) and (reason := board.lacks()):
            missing[url] = reason
    sys.stdout.write(json.dumps(missing))


if __name__ == "__main__":
    main()
