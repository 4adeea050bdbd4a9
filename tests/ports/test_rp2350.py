"""The RP2350's image is one that its boot ROM starts, as far as can be known without the chip."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

import pytest

from edgeprof.workers.emulated.child import firmware_image
from tests.ports.picobin import BLOCK_END, BLOCK_START, BadImageError, block_loop, check_image

FLASH, FIRMWARE_BYTES = 0x10000000, 128 * 1024
SRAM, SRAM_END = 0x20000000, 0x20082000
IRQ_UART0 = 33


@pytest.fixture(scope="module")
def elf() -> Path:
    return firmware_image("tlep-rp2350.elf", "rp2350")


@pytest.fixture(scope="module")
def image(elf: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What is written to flash, from its first byte on."""
    to = tmp_path_factory.mktemp("rp2350") / "flash.bin"
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", elf, to], check=True)
    return to.read_bytes()


@pytest.fixture(scope="module")
def symbols(elf: Path) -> dict[str, int]:
    out = subprocess.run(["arm-none-eabi-nm", elf], check=True, capture_output=True, text=True)
    lines = (line.split() for line in out.stdout.splitlines())
    return {name: int(address, 16) for address, _, name in lines}


def test_boot_rom_would_start_it(image: bytes) -> None:
    """A secure Arm program for the RP2350, its block in the first 4 KiB; the second block is the
    last thing in the image."""
    first, last = check_image(image)

    assert first.at < 4096
    assert last.at + 20 == len(image)
    assert len(image) <= FIRMWARE_BYTES


def test_half_a_download_is_not_started(image: bytes) -> None:
    """Wherever a download broke off, the loop is open: the ROM shows its drive instead."""
    for length in range(0, len(image), 256):  # what a block of a UF2 file carries
        with pytest.raises(BadImageError):
            check_image(image[:length])


def _with(image: bytes, at: int, word: int) -> bytes:
    return image[:at] + struct.pack("<I", word) + image[at + 4 :]


@pytest.mark.parametrize(
    ("word", "value", "reason"),
    [
        (0, BLOCK_END, "no block starts in the first"),
        (1, 0x10210042, "no size"),
        (1, 0x10110142, "no block says"),  # not secure
        (1, 0x11210142, "no block says"),  # for RISC-V
        (1, 0x00210142, "no block says"),  # for the RP2040
        (2, 0x000002FF, "another size"),
        (3, 0, "its own"),
        (3, 0xFFFFFF00, "no loop"),
        (3, 0x100, "no block starts at"),
        (4, BLOCK_START, "does not end"),
    ],
)
def test_damaged_block_is_refused(image: bytes, word: int, value: int, reason: str) -> None:
    """The reader of blocks knows each rule: a block that breaks one is refused for it."""
    first, _ = block_loop(image)
    damaged = _with(image, first.at + 4 * word, value)
    if reason == "its own":  # a loop of one block is allowed
        assert [block.at for block in check_image(damaged)] == [first.at]
        return
    with pytest.raises(BadImageError, match=reason):
        check_image(damaged)


def test_block_beyond_4_kib_is_not_found(image: bytes) -> None:
    """The ROM does not look further."""
    with pytest.raises(BadImageError, match="first 4 KiB"):
        check_image(bytes(4096) + image)


def test_vectors_are_where_the_rom_looks(image: bytes, symbols: dict[str, int]) -> None:
    """Stack in SRAM, the start code, and the UART's handler at its number."""
    vectors = struct.unpack_from(f"<{16 + IRQ_UART0 + 1}I", image)

    assert vectors[0] == symbols["link_stack_high"]
    assert SRAM < vectors[0] < SRAM_END
    assert vectors[0] % 8 == 0
    assert vectors[1] == symbols["tlep_reset_handler"] | 1
    assert vectors[16 + IRQ_UART0] == symbols["rp2_uart0_handler"] | 1
    assert all(vector & 1 and FLASH < vector < FLASH + len(image) for vector in vectors[1:])


def test_memory_is_used_as_the_map_says(elf: Path, symbols: dict[str, int]) -> None:
    """Nothing is loaded outside the firmware's part of the flash, nothing runs outside flash and
    SRAM, and models get what is left of the SRAM."""
    out = subprocess.run(
        ["arm-none-eabi-readelf", "-lW", elf], check=True, capture_output=True, text=True
    )
    loads = [line.split() for line in out.stdout.splitlines() if line.strip().startswith("LOAD")]
    assert loads
    for _, _, virtual, physical, in_file, in_memory, *_ in loads:
        run, loaded = int(virtual, 16), int(physical, 16)
        end = run + int(in_memory, 16)
        assert FLASH <= run < end <= FLASH + FIRMWARE_BYTES or SRAM <= run < end <= SRAM_END
        if int(in_file, 16):
            assert FLASH <= loaded < loaded + int(in_file, 16) <= FLASH + FIRMWARE_BYTES
    assert symbols["link_models_end"] == SRAM_END - 32
    assert symbols["link_models_end"] - symbols["link_models_start"] >= 440 * 1024
