"""The chips that can be flashed, and by which ways: a row for each image.

Several boards with one chip have an image each where the serial port is on other pins, or the
crystal another: the chip cannot tell which board it is on.

Facts: the chips' reference manuals; the UF2 family ids of github.com/microsoft/uf2; the ids that
ST's ROM bootloader answers (AN2606); names of esptool and pyOCD; firmware/ports/*/boards.txt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from edgeprof.shared.errors import UsageError
from edgeprof.shared.spelling import suggestion


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip, on a board where that matters, that our firmware is built for."""

    #: As in `--platform`: the platform, and behind a dash the board where several have the chip.
    image: str
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
    #: How the names of the board in INFO_UF2.TXT begin.
    uf2_boards: tuple[str, ...] = ()
    #: The first number of the version of Nordic's SoftDevice S140 behind which the image begins.
    softdevice: str | None = None
    #: The drives of Nucleo and Discovery boards with this chip, which take .bin files.
    stlink_boards: tuple[str, ...] = ()
    #: The chip's name in esptool.
    esptool: str | None = None
    #: Built by ESP-IDF: the image has a bootloader and a partition table before the program.
    esp_idf: bool = False
    #: The family of stm32loader, and the ids that the ROM bootloader answers.
    stm32_family: str | None = None
    stm32_ids: tuple[int, ...] = ()
    #: Whether the firmware speaks on the port on which the ROM bootloader took it.
    speaks_there: bool = True
    #: The chip's name in pyOCD.
    pyocd: str | None = None
    #: Where the model's slot begins, counted as `address`; firmware/ports has the same figure.
    slot_address: int | None = None
    #: The platform, where the image is named for its board too.
    of_platform: str | None = None

    @property
    def platform(self) -> str:
        """What the firmware calls itself in its HELLO, on all boards with this chip."""
        return self.of_platform or self.image

    @property
    def esptool_name(self) -> str:
        """The chip's name as esptool prints it: "ESP32-C3" for esp32c3."""
        return re.sub(r"^ESP32(?=[A-Z])", "ESP32-", (self.esptool or "").upper())


_ESP_BOOT: Final = "hold BOOT, press RESET, let go of BOOT"
_BOOTSEL: Final = "hold BOOTSEL while you plug it in"
_PICO_UART: Final = "connect a USB-UART adapter: GP0 is TX, GP1 is RX"
_BOOT0: Final = "connect BOOT0 to 3.3 V and press RESET"
_DOUBLE_RESET: Final = "press RESET twice within half a second"
_NRF_FAMILY: Final = 0xADA52840
_NRF_SLOT: Final = 0x40000
_STM32_SLOTS: Final = {"stm32f4": 0x0800C000, "stm32l4": 0x08010000}
#: Pins for TX that ST's ROM bootloaders have as well, of all that our boards have.
_BOOTLOADER_TX: Final = ("PA9", "PB10")


def _stm32(image: str, board: str, tx: str, rx: str, dev_id: int, pyocd: str) -> Chip:
    """Return a chip that ST's ROM bootloader and a probe write, named for its board."""
    platform = image.partition("-")[0]
    return Chip(
        image,
        f"{platform.upper()} ({board})",
        0x08000000,
        _BOOT0,
        f"connect a USB-UART adapter: {tx} is TX, {rx} is RX",
        of_platform=platform,
        stm32_family=image[len("stm32") :][:2].upper(),
        stm32_ids=(dev_id,),
        speaks_there=tx in _BOOTLOADER_TX,
        pyocd=pyocd,
        slot_address=_STM32_SLOTS[platform[: len("stm32xx")]],
    )


def _st_link(chip: Chip, drives: tuple[str, ...]) -> Chip:
    """Return the chip on a board with an ST-Link: a drive, and the serial port of the board."""
    return replace(
        chip,
        to_bootloader=f"plug in the board's ST-Link, whose drive is {drives[0]}; or {_BOOT0}",
        serial_port="the firmware speaks on the ST-Link's own serial port",
        stlink_boards=drives,
    )


_CHIPS: Final = (
    Chip(
        "rp2040",
        "RP2040 (Raspberry Pi Pico)",
        0x10000000,
        _BOOTSEL,
        _PICO_UART,
        uf2_family=0xE48BFF56,
        uf2_boards=("RPI-RP2",),
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
        uf2_boards=("RP2350",),
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
    _stm32("stm32f405", "Olimex STM32-H405", "PA9", "PA10", 0x413, "stm32f405rgtx"),
    _stm32("stm32f405-feather", "Adafruit Feather", "PB10", "PB11", 0x413, "stm32f405rgtx"),
    _stm32("stm32f405-netduino", "Netduino Plus 2", "PC6", "PC7", 0x413, "stm32f405rgtx"),
    _stm32("stm32f407", "STM32F407 Discovery", "PA2", "PA3", 0x413, "stm32f407vgtx"),
    _st_link(
        _stm32("stm32f411", "Nucleo-F411RE", "PA2", "PA3", 0x431, "stm32f411retx"),
        ("NODE_F411RE", "NOD_F411RE"),
    ),
    _stm32("stm32f411-blackpill", "Black Pill", "PA9", "PA10", 0x431, "stm32f411ceux"),
    _st_link(
        _stm32("stm32f429", "STM32F429 Discovery", "PA9", "PA10", 0x419, "stm32f429xi"),
        ("DIS_F429ZI",),
    ),
    _st_link(
        _stm32("stm32f446", "Nucleo-F446RE", "PA2", "PA3", 0x421, "stm32f446retx"),
        ("NODE_F446RE", "NOD_F446RE"),
    ),
    _st_link(
        _stm32("stm32l475", "B-L475E-IOT01A", "PB6", "PB7", 0x415, "stm32l475xg"),
        ("DIS_L4IOT",),
    ),
    _st_link(
        _stm32("stm32l4r5", "Nucleo-L4R5ZI", "PG7", "PG8", 0x470, "stm32l4r5zitx"),
        ("NODE_L4R5ZI", "NOD_L4R5ZI"),
    ),
    Chip(
        "nrf52840",
        "nRF52840 (nRF52840 DK)",
        0,
        "plug the DK's J-Link in",
        "the J-Link's serial port is the board's",
        pyocd="nrf52840",
        slot_address=_NRF_SLOT,
    ),
    Chip(
        "nrf52840-feather",
        "nRF52840 (Adafruit Feather Express)",
        0x26000,
        _DOUBLE_RESET,
        "connect a USB-UART adapter to the pins TX (P0.25) and RX (P0.24)",
        of_platform="nrf52840",
        uf2_family=_NRF_FAMILY,
        uf2_boards=("nRF52840-Feather-rev",),
        softdevice="6",
        pyocd="nrf52840",
        slot_address=_NRF_SLOT,
    ),
    Chip(
        "nrf52840-xiao",
        "nRF52840 (Seeed XIAO)",
        0x27000,
        _DOUBLE_RESET,
        "connect a USB-UART adapter to the pins D6 (TX, P1.11) and D7 (RX, P1.12)",
        of_platform="nrf52840",
        uf2_family=_NRF_FAMILY,
        uf2_boards=("nRF52840-SeeedXiao", "Seeed_XIAO_nRF52840"),
        softdevice="7",
        pyocd="nrf52840",
        slot_address=_NRF_SLOT,
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
CHIPS: Final[Mapping[str, Chip]] = {chip.image: chip for chip in (*_CHIPS, *_IDF_CHIPS)}


def chip_of(platform: str) -> Chip:
    """Return the chip of --platform. Raises UsageError, which names those there are."""
    if platform not in CHIPS:
        raise UsageError(
            f"--platform {platform}: not a chip that can be flashed{suggestion(platform, CHIPS)}",
            hint=f"chips: {', '.join(CHIPS)}",
        )
    return CHIPS[platform]


def images_of(platform: str) -> tuple[str, ...]:
    """Return the images whose HELLO names a platform: one for each board that differs."""
    return tuple(chip.image for chip in CHIPS.values() if chip.platform == platform)


def image_of(platform: str, named: str | None) -> str:
    """Return the image of a board, as boards.toml may name it.

    Raises UsageError where the platform has several, and none of them is named.
    """
    images = images_of(platform)
    if named is None and len(images) == 1:
        return images[0]
    if named not in images:
        raise UsageError(
            f"{platform} has an image for each of several boards, and boards.toml does not say"
            " which board this is"
            if named is None
            else f"boards.toml: image = {named!r} is none of {platform}'s",
            hint=f"in boards.toml: image = {' or '.join(map(repr, images))}",
        )
    return named
