"""labwired://PORT?uid=HEX&slot=FILE&… : bare-metal firmware on a chip that labwired emulates.

labwired (PyPI) emulates chips that QEMU has not. It computes some million instructions a second, so
its boards are slow; their times are virtual and repeat exactly, as under QEMU.
"""

from __future__ import annotations

import importlib.util
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.workers.emulated.child import ChildSerial, firmware_image, hex_bytes
from edgeprof.workers.emulated.identity import UID_MAX_BYTES
from edgeprof.workers.emulated.spelling import suggestion

BRIDGE = "edgeprof.workers.emulated.labwired_bridge"


@dataclass(frozen=True, slots=True)
class Chip:
    """What the bridge must know of one port's chip."""

    #: labwired's name of it.
    name: str
    #: Where the firmware reads a magic, the uid and a boot seed at start (ports/*/hal.c).
    identity_address: int
    slot_address: int
    #: Upload speed of the emulated UART.
    upload_bytes_per_s: int
    #: The register and the bit by which software restarts the chip, where labwired only keeps it.
    reset: tuple[int, int] | None = None
    #: Where flash begins as code, and where the chip shows it once more as data.
    mirror: tuple[int, int] | None = None
    #: The image, where it is another than that of the silicon.
    image: str | None = None


CHIPS: Mapping[str, Chip] = {
    "esp32c3": Chip(
        "esp32c3",
        identity_address=0x3FCDFFE0,
        slot_address=0x3C100000,
        upload_bytes_per_s=10_000,
        reset=(0x60008000, 1 << 31),  # RTC_CNTL_OPTIONS0, SW_SYS_RST
        mirror=(0x42000000, 0x3C000000),
    ),
    "nrf52840": Chip(
        "nrf52840",
        identity_address=0x2003FFE0,
        slot_address=0x00040000,
        upload_bytes_per_s=20_000,
        image="nrf52840-labwired",
    ),
}


class Serial(ChildSerial):
    """One emulated board."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 8 bytes",
        "slot": "model slot image to put into flash",
        "seed": "boot seed, for a boot id that repeats",
    }

    values: ClassVar[Mapping[str, str]] = {"slot": ".+", "seed": r"\d+"}
    uid_max_bytes = UID_MAX_BYTES

    @classmethod
    def check_host(cls, host: str) -> None:
        """Accept a chip that our firmware is built for."""
        if host not in CHIPS:
            raise UsageError(
                f"labwired://{host}: no such port{suggestion(host, CHIPS)}",
                hint=f"ports: {', '.join(CHIPS)}",
            )

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return the bridge with firmware, identity and slot."""
        if importlib.util.find_spec("labwired") is None:
            raise HostFault(
                "labwired is not installed",
                code="no_labwired",
                hint="pip install 'tiny-llm-edge-profiler[emulators]'",
            )
        chip = CHIPS[host]
        image = chip.image or host
        uid = hex_bytes(query.get("uid", "00"), UID_MAX_BYTES, str(self.portstr))
        command = [
            sys.executable, "-m", BRIDGE,
            "--fd", str(fd),
            "--chip", chip.name,
            "--elf", str(firmware_image(f"tlep-{image}.elf", image)),
            "--identity", hex(chip.identity_address),
            "--uid", uid.hex(),
            "--seed", query.get("seed") or str(secrets.randbits(32)),
        ]  # fmt: skip
        if chip.reset is not None:
            command += ["--reset", *map(hex, chip.reset)]
        if chip.mirror is not None:
            command += ["--mirror", *map(hex, chip.mirror)]
        if "slot" in query:
            slot = Path(query["slot"])
            if not slot.is_file():
                raise HostFault(f"labwired://{host}: no slot image at {slot}", code="no_slot")
            command += ["--slot", str(slot), "--slot-address", hex(chip.slot_address)]
        return command
