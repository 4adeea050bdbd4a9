"""Finds what is plugged in and could be flashed: bootloader drives, serial ports, debug probes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from serial.tools import list_ports

from edgeprof.workers.flashing.chips import CHIPS

Kind = Literal["uf2 drive", "st-link drive", "drive not mounted", "serial port", "probe"]

#: USB ids of what boards bring along, with what a person knows it as. A bridge says nothing about
#: the chip behind it, so the chip is asked.
_USB: Final = {
    (0x303A, 0x1001): "USB of an ESP32-C3, S3, C6, H2 or P4",
    (0x10C4, 0xEA60): "CP210x bridge, as on many ESP32 boards",
    (0x1A86, 0x7523): "CH340 bridge, as on many ESP32 boards",
    (0x1A86, 0x55D4): "CH9102 bridge, as on many ESP32 boards",
    (0x0403, 0x6001): "FTDI bridge",
    (0x0403, 0x6015): "FTDI bridge",
    (0x0483, 0x374B): "ST-Link of a Nucleo or Discovery board",
    (0x0483, 0x374E): "ST-Link of a Nucleo or Discovery board",
    (0x2E8A, 0x0005): "MicroPython on a Raspberry Pi Pico",
    (0x2E8A, 0x000A): "Raspberry Pi Pico with a program of somebody else",
    (0x2E8A, 0x000C): "Raspberry Pi debug probe",
    (0x239A, 0x8029): "Adafruit nRF52840 board",
}
_ESPRESSIF_VENDOR: Final = 0x303A
_DRIVE_LABELS: Final = ("RPI-RP2", "RP2350", "FTHR840BOOT", "NRF52BOOT", "XIAO-BOOT", "XIAO-SENSE")
_ST_LINK_LABEL: Final = re.compile(r"(NODE?|DIS)_[A-Z][A-Z\d]{3,6}")


@dataclass(frozen=True, slots=True)
class Plugged:
    """Something through which a board can be flashed."""

    kind: Kind
    #: The folder of a mounted drive, or the path of a port.
    where: str
    #: What it is, for people.
    says: str
    #: Images that fit what it shows of itself; empty where only the chip knows.
    images: tuple[str, ...] = ()
    #: Of a drive of Adafruit's bootloader: the first number of its SoftDevice's version.
    softdevice: str | None = None


def everything() -> list[Plugged]:
    """Return what is plugged in, surest first."""
    return [*drives(), *ports()]


def drives(
    mounts: Path = Path("/proc/mounts"), labels: Path = Path("/dev/disk/by-label")
) -> Iterator[Plugged]:
    """Yield the drives that bootloaders and ST-Links show, mounted or not."""
    mounted: set[str] = set()
    for line in mounts.read_text().splitlines():
        device, folder, kind, *_ = line.split(" ")
        if kind not in {"vfat", "msdos"}:
            continue
        mounted.add(device)
        found = drive_at(Path(folder.encode().decode("unicode_escape")))  # a space is \040 there
        if found is not None:
            yield found
    for path in sorted(labels.iterdir()) if labels.is_dir() else ():
        known = path.name in _DRIVE_LABELS or _ST_LINK_LABEL.fullmatch(path.name)
        if known and str(path.resolve()) not in mounted:
            yield Plugged("drive not mounted", str(path), f"drive {path.name}, not mounted")


def drive_at(folder: Path) -> Plugged | None:
    """Return what a mounted drive belongs to; None when it is no board's."""
    try:
        names = {path.name.upper(): path for path in folder.iterdir()}
        if (info := names.get("INFO_UF2.TXT")) is not None:
            return _uf2_drive(folder, info.read_text(errors="replace"))
        if "MBED.HTM" in names or "DETAILS.TXT" in names:
            return _st_link_drive(folder)
    except OSError:
        return None  # pulled while we looked
    return None


def _uf2_drive(folder: Path, info: str) -> Plugged:
    fields = dict(re.findall(r"^([\w-]+):\s*(.*?)\s*$", info, re.MULTILINE))
    board = fields.get("Board-ID", "")
    fitting = tuple(
        chip.image
        for chip in CHIPS.values()
        if chip.uf2_boards and board.startswith(chip.uf2_boards)
    )
    softdevice = re.match(r"S140 (?:version )?(\d+)\.", fields.get("SoftDevice", ""))
    return Plugged(
        "uf2 drive",
        str(folder),
        f"bootloader of {fields.get('Model', board) or 'a board'}",
        fitting,
        softdevice[1] if softdevice else None,
    )


def _st_link_drive(folder: Path) -> Plugged:
    label = folder.name
    fitting = tuple(chip.image for chip in CHIPS.values() if label in chip.stlink_boards)
    return Plugged("st-link drive", str(folder), f"ST-Link drive {label}", fitting)


def ports() -> Iterator[Plugged]:
    """Yield the serial ports of USB devices; the fixed ones of the machine have no board."""
    for port in list_ports.comports():
        if port.vid is None:
            continue
        says = _USB.get((port.vid, port.pid), port.product or port.description or "USB serial port")
        fitting: tuple[str, ...] = ()
        if port.vid == _ESPRESSIF_VENDOR:
            fitting = tuple(chip.image for chip in CHIPS.values() if chip.esptool)
        yield Plugged("serial port", port.device, says, fitting)
