"""qemu://PORT?uid=HEX&slot=FILE&… : bare-metal firmware on an emulated chip.

QEMU runs with an instruction clock (-icount): a device's timings are instructions times a constant.
So the same run gives the same times again, and the host's load changes nothing.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from edgeprof.shared.errors import HostFault
from edgeprof.workers.emulated.child import firmware_image
from edgeprof.workers.emulated.chip import ChipSerial
from edgeprof.workers.emulated.identity import identity


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
    #: The first QEMU whose machine has not the board's RAM any more.
    until: int | None = None
    #: Which of QEMU's serial ports is the board's: the number of those before it.
    serial_ports_before: int = 0
    #: The image, where it is compiled for another core than that of the silicon.
    image: str | None = None


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
    # QEMU 8 took the F405's core-coupled memory from its SRAM: 128 KiB, and the F429 has 192.
    "stm32f429": replace(_STM32F4, identity_address=0x2002FFE0, until=8),
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
    # An nRF51, whose UART and TIMER are the nRF52840's; here with its memory.
    "nrf52840": Machine(
        "qemu-system-arm",
        "qemu-system-arm",
        (
            *("-M", "microbit", "-global", "nrf51-soc.sram-size=0x40000"),
            *("-global", "nrf51-soc.flash-size=0x100000"),
        ),
        icount_shift=4,  # 16 ns: 64 MHz at a cycle an instruction
        identity_address=0x2003FFE0,
        slot_address=0x00040000,
        upload_bytes_per_s=_CORTEX_M_UPLOAD_BYTES_PER_S,
        image="nrf52840-qemu",
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
    "xtensa-lx60": Machine(
        "qemu-system-xtensa",
        "qemu-system-misc",
        ("-M", "lx60", "-cpu", "de233_fpu", "-m", "16M"),
        icount_shift=2,  # 4 ns: a cycle of the board's 10 MHz is a whole number of instructions
        identity_address=0x007FFFE0,
        slot_address=0x00800000,
        upload_bytes_per_s=40_000,  # measured
    ),
}


@cache
def _machines_of(program: str) -> frozenset[str]:
    """Return the names of the machines that an installed QEMU has."""
    listed = subprocess.run([program, "-M", "help"], capture_output=True, text=True, check=False)
    return frozenset(line.split()[0] for line in listed.stdout.splitlines() if line.strip())


@cache
def _version_of(program: str) -> int:
    """Return the major version of an installed QEMU."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"version (\d+)", said.stdout)
    return int(found[1]) if found else 0


def why_not(host: str) -> str | None:
    """Return why the installed QEMU cannot be this board, for its age; None when it can."""
    machine = MACHINES[host]
    program, name = shutil.which(machine.program), machine.arguments[1]
    if program is None:
        return None  # that is another fault
    if machine.since is not None and name not in _machines_of(program):
        return f"{program} has no machine {name}: QEMU {machine.since} or later has"
    if machine.until is not None and _version_of(program) >= machine.until:
        return (
            f"the machine {name} of {program} has too little RAM: QEMU before {machine.until} has"
        )
    return None


class Serial(ChipSerial):
    """One emulated board."""

    chips = MACHINES

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
        if (reason := why_not(host)) is not None:
            raise HostFault(
                f"qemu://{host}: {reason}",
                code="other_qemu",
                hint="Debian 12 has QEMU 7, Debian 13 has QEMU 10",
            )
        image = machine.image or host
        command = [
            program, *machine.arguments,
            "-kernel", str(firmware_image(f"tlep-{image}.elf", image)),
            "-icount", f"shift={machine.icount_shift}",
            "-display", "none", "-monitor", "none", "-parallel", "none", "-nodefaults",
            *("-serial", "null") * machine.serial_ports_before,
            "-chardev", f"socket,id=uart,fd={fd}", "-serial", "chardev:uart",
        ]  # fmt: skip
        words = identity(self.uid(query), self.seed(query))
        for offset in range(0, len(words), 4):
            word = int.from_bytes(words[offset : offset + 4], "little")
            address = machine.identity_address + offset
            command += ["-device", f"loader,addr={address:#x},data={word:#x},data-len=4"]
        slot = self.slot(query)
        if slot is not None:
            file = str(slot).replace(",", ",,")  # QEMU writes a comma this way
            loader = f"loader,file={file},addr={machine.slot_address:#x},force-raw=on"
            command += ["-device", loader]
        return command
