"""Firmware images: ours, and those that users bring."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from intelhex import HexReaderError, IntelHex
from uf2utils.file import UF2File
from uf2utils.header import UF2DecodeError

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.workers.flashing.chips import Chip
from edgeprof.workers.flashing.descriptions import built_for, folder

#: An image is larger than an empty file, and smaller than the largest flash.
_SIZES_BYTES: Final = range(256, 16 * 2**20 + 1)
_UF2_BLOCK_BYTES: Final = 512
#: How what an ESP32's ROM starts begins: an image of Espressif's tools; or, on an ESP32-C3, this
#: word twice.
_ESP_IMAGE: Final = b"\xe9"
_DIRECT_BOOT: Final = bytes.fromhex("1d04dbae")
#: Where ESP-IDF's partition table lies in the flash, and how each of its entries begins.
_PARTITION_TABLE: Final = slice(0x8000, 0x8002)
_PARTITION: Final = b"\xaa\x50"
_FROM_ESP_IDF: Final = (
    "build it with ESP-IDF (firmware/ports/esp-idf/README.md says how), and name it with --firmware"
)


@dataclass(frozen=True, slots=True)
class Image:
    """A file with firmware for one chip."""

    chip: Chip
    path: Path
    sha256: str
    #: Of our firmware; None for a file that the user brought.
    version: str | None = None
    git_hash: str | None = None


def our_image(chip: Chip, suffix: str) -> Image:
    """Return our image for a chip, whose bytes are those that were built. Raises HostFault."""
    found = built_for(chip.image)
    path = folder(chip.image) / f"tlep-{chip.image}{suffix}"
    if found is None or suffix not in found.sha256 or not path.is_file():
        raise HostFault(
            f"no firmware image for {chip.image}: {path} does not exist",
            code="no_firmware",
            hint=_FROM_ESP_IDF
            if chip.esp_idf
            else "in a clone: make firmware; else install a wheel of `make wheel`, which has it"
            " packed, or bring your own with --firmware",
        )
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != found.sha256[suffix]:
        raise HostFault(
            f"{path} is not what was built: its SHA-256 differs",
            code="no_firmware",
            hint="in a clone: make firmware; else install the package again",
        )
    return Image(chip, path, sha256, found.version, found.git_hash)


def users_image(chip: Chip, path: Path, suffix: str) -> Image:
    """Return the user's own image, after a look at whether it can be one for this chip.

    Raises UsageError: another kind of file than the way of flashing takes, another chip's.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"--firmware {path}: {error.strerror}") from None
    if path.suffix.lower() != suffix:
        raise UsageError(
            f"--firmware {path}: this way of flashing takes a {suffix} file",
            hint=f"in firmware/build/{chip.image}, make firmware leaves one",
        )
    if len(data) not in _SIZES_BYTES:
        raise UsageError(f"--firmware {path}: {len(data)} bytes are no firmware")
    check = {".uf2": _check_uf2, ".hex": _check_hex, ".bin": _check_bin}[suffix]
    if trouble := check(chip, path, data):
        raise UsageError(f"--firmware {path}: {trouble}", hint=f"the board's chip is {chip.name}")
    return Image(chip, path, hashlib.sha256(data).hexdigest())


def _check_uf2(chip: Chip, path: Path, data: bytes) -> str:
    if len(data) % _UF2_BLOCK_BYTES or not data.startswith(b"UF2\n"):
        return "not a UF2 file: it does not consist of blocks of 512 bytes, each with its magic"
    try:
        families = {block.header.board_family for block in UF2File(str(path))}
    except UF2DecodeError as error:
        return f"not a UF2 file: {error}"
    wrong = families - {chip.uf2_family}
    return f"made for another chip (UF2 family {min(wrong):#010x})" if wrong else ""


def _check_hex(chip: Chip, path: Path, _data: bytes) -> str:
    try:
        lowest = IntelHex(str(path)).minaddr()
    except (HexReaderError, UnicodeDecodeError) as error:
        return f"not an Intel HEX file: {error}"
    if lowest is None or lowest < chip.address:
        return f"it begins at {lowest or 0:#x}, the chip's flash at {chip.address:#x}"
    return ""


def _check_bin(chip: Chip, _path: Path, data: bytes) -> str:
    """Tell a file of another kind by its first bytes; raw code shows no chip."""
    for magic, kind in ((b"\x7fELF", "an ELF file"), (b"UF2\n", "a UF2 file"), (b":", "HEX")):
        if data.startswith(magic):
            return f"this is {kind}, not a raw image"
    if chip.stm32_family and not 0x20000000 <= int.from_bytes(data[:4], "little") < 0x20100000:
        return "it does not begin with a stack pointer in RAM, as an image for an STM32 does"
    if chip.esp_idf:
        if data[_PARTITION_TABLE] == _PARTITION:
            return ""
        return "it has no partition table at 0x8000: take what `idf.py merge-bin` wrote"
    if chip.esptool and not data.startswith((_ESP_IMAGE, 2 * _DIRECT_BOOT)):
        return "it begins neither as an ESP32 image (0xE9) nor for direct boot"
    return ""
