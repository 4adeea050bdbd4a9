"""qemu://PORT?uid=HEX&slot=FILE&… : bare-metal firmware on an emulated chip.

QEMU runs with an instruction clock (-icount): a device's timings are instructions times a constant.
So the same run gives the same times again, and the host's load changes nothing.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import ClassVar

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.workers.emulated.child import ChildSerial, firmware_image, hex_bytes, parse_board_url
from edgeprof.workers.emulated.spelling import suggestion

UID_MAX_BYTES = 8


@dataclass(frozen=True, slots=True)
class Machine:
    """How QEMU is started for one port, and where its loader puts what a chip would have."""

    program: str
    package: str
    arguments: tuple[str, ...]
    #: 2^icount_shift ns per instruction.
    icount_shift: int
    #: Where the firmware reads a magic, the uid and a boot seed at start (ports/*/hal.c).
    identity_address: int
    #: The address of the model slot; None when the port has no flash for models.
    slot_address: int | None
    #: Upload speed of the emulated UART. None: it is so fast that nobody waits for an upload.
    upload_bytes_per_s: int | None
    #: The first QEMU that has the machine, where Debian 12's has not.
    since: str | None = None
    #: Which of QEMU's serial ports is the board's: the number of those before it.
    serial_ports_before: int = 0


#: Of QEMU's Cortex-M UARTs (measured): a byte costs a turn of QEMU's main loop.
_CORTEX_M_UPLOAD_BYTES_PER_S = 20_000

#: The one STM32F4 that QEMU 7.2 has, an F405. Where an image for another F4 looks, they are the
#: same, but for the clock tree, which QEMU has not.
_STM32F4 = Machine(
    "qemu-system-arm",
    "qemu-system-arm",
    ("-M", "netduinoplus2"),
    icount_shift=3,  # 8 ns: 168 MHz at 1.34 cycles per instruction
    identity_address=0x2001FFE0,
    slot_address=0x0800C000,
    upload_bytes_per_s=_CORTEX_M_UPLOAD_BYTES_PER_S,
)
_USART2, _USART3, _USART6 = 1, 2, 5

MACHINES: Mapping[str, Machine] = {
    "stm32f405": _STM32F4,
    "stm32f405-feather": replace(_STM32F4, serial_ports_before=_USART3),
    "stm32f405-netduino": replace(_STM32F4, serial_ports_before=_USART6),
    "stm32f407": replace(_STM32F4, serial_ports_before=_USART2),
    "stm32f411": replace(_STM32F4, serial_ports_before=_USART2, icount_shift=4),  # 100 MHz
    "stm32f411-blackpill": replace(_STM32F4, icount_shift=4),
    "stm32f429": replace(_STM32F4, identity_address=0x2002FFE0),
    "stm32f446": replace(_STM32F4, serial_ports_before=_USART2),
    "mps2-an500": Machine(
        "qemu-system-arm",
        "qemu-system-arm",
        ("-M", "mps2-an500"),
        icount_shift=5,  # 32 ns: the FPGA image's 25 MHz at 0.8 cycles per instruction
        identity_address=0x203FFFE0,
        slot_address=0x60800000,
        upload_bytes_per_s=_CORTEX_M_UPLOAD_BYTES_PER_S,
    ),
    "mps2-an505": Machine(
        "qemu-system-arm",
        "qemu-system-arm",
        ("-M", "mps2-an505"),
        icount_shift=5,  # 32 ns: the FPGA image's 20 MHz at 0.64 cycles per instruction
        identity_address=0x80FFFFE0,
        slot_address=0x80800000,
        upload_bytes_per_s=_CORTEX_M_UPLOAD_BYTES_PER_S,
    ),
    "stm32l475": Machine(
        "qemu-system-arm",
        "qemu-system-arm",
        ("-M", "b-l475e-iot01a", "-m", "1M"),  # no RAM, but the most that the loader loads
        icount_shift=4,  # 16 ns: 80 MHz at 1.28 cycles per instruction
        identity_address=0x20017FE0,
        slot_address=0x08010000,
        upload_bytes_per_s=_CORTEX_M_UPLOAD_BYTES_PER_S,
        since="9.1",
    ),
    "riscv32-virt": Machine(
        "qemu-system-riscv32",
        "qemu-system-misc",
        ("-M", "virt", "-m", "64M", "-bios", "none"),
        icount_shift=3,
        identity_address=0x83FFFFE0,
        slot_address=None,
        upload_bytes_per_s=None,
    ),
}
IDENTITY_MAGIC = 0x49444D51  # "QMDI"


@cache
def _machines_of(program: str) -> frozenset[str]:
    """Return the names of the machines that an installed QEMU has."""
    listed = subprocess.run([program, "-M", "help"], capture_output=True, text=True, check=False)
    return frozenset(line.split()[0] for line in listed.stdout.splitlines() if line.strip())


def too_old(host: str) -> str | None:
    """Return why the installed QEMU cannot be this board: it is older than the machine."""
    machine = MACHINES[host]
    program, name = shutil.which(machine.program), machine.arguments[1]
    if program is None or machine.since is None or name in _machines_of(program):
        return None
    return f"{program} has no machine {name}: QEMU {machine.since} or later has"


class Serial(ChildSerial):
    """One emulated board."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 8 bytes",
        "slot": "model slot image for QEMU's loader to put into flash",
        "seed": "boot seed, for a boot id that repeats",
    }

    values: ClassVar[Mapping[str, str]] = {"slot": ".+", "seed": r"\d+"}
    uid_max_bytes = UID_MAX_BYTES

    @classmethod
    def check_host(cls, host: str) -> None:
        """Accept a chip that our firmware is built for."""
        if host not in MACHINES:
            raise UsageError(
                f"qemu://{host}: no such port{suggestion(host, MACHINES)}",
                hint=f"ports: {', '.join(MACHINES)}",
            )

    @classmethod
    def check(cls, url: str) -> None:
        """Check the URL as for every child, and that a slot has flash to go to."""
        super().check(url)
        host, query = parse_board_url(url, cls.options)
        if "slot" in query and MACHINES[host].slot_address is None:
            raise UsageError(f"{url}: {host} has no flash for a model", hint="leave slot out")

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return QEMU with firmware, identity words and slot loaded."""
        machine = MACHINES[host]
        program = shutil.which(machine.program)
        if program is None:
            raise HostFault(
                f"{machine.program} is not installed",
                code="no_qemu",
                hint=f"apt-get install {machine.package}",
            )
        if (reason := too_old(host)) is not None:
            raise HostFault(
                f"qemu://{host}: {reason}", code="old_qemu", hint="Debian 13 has QEMU 10"
            )
        uid = hex_bytes(query.get("uid", "00"), UID_MAX_BYTES, str(self.portstr))
        seed = int(query.get("seed") or secrets.randbits(32))
        words = (
            (0, IDENTITY_MAGIC, 4),
            (4, len(uid), 4),
            (8, int.from_bytes(uid.ljust(UID_MAX_BYTES, b"\0"), "little"), 8),
            (16, seed & 0xFFFFFFFF, 4),
        )
        command = [
            program, *machine.arguments,
            "-kernel", str(firmware_image(f"tlep-{host}.elf", host)),
            "-icount", f"shift={machine.icount_shift}",
            "-display", "none", "-monitor", "none", "-parallel", "none", "-nodefaults",
            *("-serial", "null") * machine.serial_ports_before,
            "-chardev", f"socket,id=uart,fd={fd}", "-serial", "chardev:uart",
        ]  # fmt: skip
        for offset, value, size in words:
            address = machine.identity_address + offset
            loader = f"loader,addr={address:#x},data={value:#x},data-len={size}"
            command += ["-device", loader]
        if "slot" in query and machine.slot_address is not None:
            slot = Path(query["slot"])
            if not slot.is_file():
                raise HostFault(f"qemu://{host}: no slot image at {slot}", code="no_slot")
            file = str(slot).replace(",", ",,")  # QEMU writes a comma this way
            loader = f"loader,file={file},addr={machine.slot_address:#x},force-raw=on"
            command += ["-device", loader]
        return command
