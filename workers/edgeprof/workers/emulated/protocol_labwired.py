"""labwired://PORT?uid=HEX&slot=FILE&… : bare-metal firmware on a chip that labwired emulates.

labwired (PyPI) emulates chips that QEMU has not. It computes some million instructions a second, so
its boards are slow; their times are virtual and repeat exactly, as under QEMU.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeprof.shared.errors import HostFault
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.emulated.chip import ChipSerial

BRIDGE = "edgeprof.workers.emulated.labwired_bridge"


@dataclass(frozen=True, slots=True)
class LabwiredChip:
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


CHIPS: Mapping[str, LabwiredChip] = {
    "esp32c3": LabwiredChip(
        "esp32c3",
        identity_address=0x3FCDFFE0,
        slot_address=0x3C100000,
        upload_bytes_per_s=10_000,
        reset=(0x60008000, 1 << 31),  # RTC_CNTL_OPTIONS0, SW_SYS_RST
        mirror=(0x42000000, 0x3C000000),
    ),
    "esp32s3": LabwiredChip(
        "esp32s3",
        identity_address=0x3FCEBFE0,
        slot_address=0x3C100000,
        upload_bytes_per_s=20_000,
        reset=(0x60008000, 1 << 31),  # RTC_CNTL_OPTIONS0, SW_SYS_RST
    ),
}


class Serial(ChipSerial):
    """One emulated board."""

    chips = CHIPS

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return the bridge with firmware, identity and slot."""
        if importlib.util.find_spec("labwired") is None:
            raise HostFault(
                "labwired is not installed",
                code="no_labwired",
                hint="pip install 'tiny-llm-edge-profiler[emulators]'",
            )
        chip = CHIPS[host]
        command = [
            sys.executable, "-m", BRIDGE,
            "--fd", str(fd),
            "--chip", chip.name,
            "--elf", str(firmware_image(f"tlep-{host}.elf", host)),
            "--identity", hex(chip.identity_address),
            "--uid", self.uid(query).hex(),
            "--seed", str(self.seed(query)),
        ]  # fmt: skip
        if chip.reset is not None:
            command += ["--reset", *map(hex, chip.reset)]
        if chip.mirror is not None:
            command += ["--mirror", *map(hex, chip.mirror)]
        slot = self.slot(query)
        if slot is not None:
            command += ["--slot", str(slot), "--slot-address", hex(chip.slot_address)]
        return command
