"""The chips that can be flashed, and by which ways.

Facts: the chips' reference manuals; the UF2 family ids of github.com/microsoft/uf2; the ids that
ST's ROM bootloader answers (AN2606); names of esptool and pyOCD.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgeprof.shared.errors import UsageError
from edgeprof.workers.emulated.spelling import suggestion


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip that our firmware is built for."""

    #: As in `--platform`; the name of the port.
    platform: str
    #: For people.
    name: str
    #: Where the image begins in the chip's address space; 0 for esptool, which counts from the
    #: start of the flash.
    address: int
    #: What a person does to bring the chip's own bootloader up, where no reset line does it.
    to_bootloader: str
    #: Where the firmware speaks, for people.
    serial_port: str
    #: Of the drive that the chip's bootloader shows, which takes UF2 files.
    uf2_family: int | None = None
    #: How such a drive names the board in INFO_UF2.TXT.
    uf2_board: str | None = None
    #: The drive of a Nucleo or Discovery board with this chip, which takes .bin files.
    stlink_boards: tuple[str, ...] = ()
    #: The chip's name in esptool.
    esptool: str | None = None
    #: Built by ESP-IDF: the image has a bootloader and a partition table before the program.
    esp_idf: bool = False
    #: The family of stm32loader, and the ids that the ROM bootloader answers.
    stm32_family: str | None = None
    stm32_ids: tuple[int, ...] = ()
    #: The chip's name in pyOCD.
    pyocd: str | None = None
    #: Where the model's slot begins, counted as `address`; firmware/ports has the same figure.
    slot_address: int | None = None

    @property
    def esptool_name(self) -> str:
        """The chip's name as esptool prints it: "ESP32-C3" for esp32c3."""
        return re.sub(r"^ESP32(?=[A-Z])", "ESP32-", (self.esptool or "").upper())


_ESP_BOOT: Final = "hold BOOT, press RESET, let go of BOOT"
_BOOTSEL: Final = "hold BOOTSEL while you plug it in"
_PICO_UART: Final = "connect a USB-UART adapter: GP0 is TX, GP1 is RX"
_BOOT0: Final = "connect BOOT0 to 3.3 V and press RESET"

_CHIPS: Final = (
    Chip(
        "rp2040",
        "RP2040 (Raspberry Pi Pico)",
        0x10000000,
        _BOOTSEL,
        _PICO_UART,
        uf2_family=0xE48BFF56,
        uf2_board="RPI-RP2",
        pyocd="rp2040",
        slot_address=0x10040000,
    ),
    Chip(
        "rp2350",
        "RP2350 (Raspberry Pi Pico 2)",
        0x10000000,
        _BOOTSEL,
        _PICO_UART,
        uf2_family=0xE48BFF59,
        uf2_board="RP2350",
        pyocd="rp2350",
        slot_address=0x10020000,
    ),
    Chip(
        "esp32c3",
        "ESP32-C3, revision 3 on",
        0,
        _ESP_BOOT,
        "the firmware speaks on UART0 (GPIO21 is TX, GPIO20 is RX)",
        esptool="esp32c3",
        slot_address=0x100000,
    ),
    Chip(
        "stm32f405",
        "STM32F405 (Olimex STM32-H405)",
        0x08000000,
        _BOOT0,
        "connect a USB-UART adapter: PA9 is TX, PA10 is RX",
        stm32_family="F4",
        stm32_ids=(0x413,),
        pyocd="stm32f405rg",
        slot_address=0x0800C000,
    ),
    Chip(
        "stm32f446",
        "STM32F446 (Nucleo-F446RE)",
        0x08000000,
        "plug in the board's ST-Link, whose drive is NODE_F446RE",
        "the firmware speaks on the ST-Link's own serial port",
        stlink_boards=("NODE_F446RE",),
        pyocd="stm32f446re",
        slot_address=0x0800C000,
    ),
)
#: The app of firmware/ports/esp-idf: the chip in esptool, its name, the pins of UART0.
_ESP_IDF: Final = (
    ("esp32", "ESP32", "GPIO1 is TX, GPIO3 is RX"),
    ("esp32s3", "ESP32-S3", "GPIO43 is TX, GPIO44 is RX"),
    ("esp32c3", "ESP32-C3", "GPIO21 is TX, GPIO20 is RX"),
    ("esp32c6", "ESP32-C6", "GPIO16 is TX, GPIO17 is RX"),
    ("esp32p4", "ESP32-P4", "GPIO37 is TX, GPIO38 is RX"),
)
_IDF_CHIPS: Final = tuple(
    Chip(
        f"{esptool}-idf",
        f"{name} with ESP-IDF",
        0,
        _ESP_BOOT,
        f"the firmware speaks on UART0 ({pins})",
        esptool=esptool,
        esp_idf=True,
        slot_address=0x110000,
    )
    for esptool, name, pins in _ESP_IDF
)
CHIPS: Final[Mapping[str, Chip]] = {chip.platform: chip for chip in (*_CHIPS, *_IDF_CHIPS)}


def chip_of(platform: str) -> Chip:
    """Return the chip of a platform. Raises UsageError, which names those there are."""
    if platform not in CHIPS:
        raise UsageError(
            f"--platform {platform}: not a chip that can be flashed{suggestion(platform, CHIPS)}",
            hint=f"chips: {', '.join(CHIPS)}",
        )
    return CHIPS[platform]
