"""From what is plugged in to a board that speaks our protocol."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import BoardFault, Fault, HostFault, LinkFault, UsageError
from edgeprof.shared.settings import Settings
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.protocols import Hello
from edgeprof.workers.flashing import program
from edgeprof.workers.flashing.chips import CHIPS, Chip, chip_of, images_of
from edgeprof.workers.flashing.descriptions import Description, built_for
from edgeprof.workers.flashing.images import Image, our_image, users_image
from edgeprof.workers.flashing.plugged import Kind, Plugged, drive_at, ports
from edgeprof.workers.flashing.program import OnLine
from edgeprof.workers.flashing.slots import find_placer
from edgeprof.workers.flashing.writers import (
    Esptool,
    Probe,
    StLinkDrive,
    Stm32loader,
    Uf2Drive,
    Writer,
)
from edgeprof.workers.link.baud import DEFAULT_BAUD
from edgeprof.workers.link.device import OpenOptions, open_board
from edgeprof.workers.link.port import close_port, open_port

#: How long a port is listened to, to learn whether firmware of ours is there already.
_OURS_S: Final = 2.0
#: How long a board may take from its restart to its HELLO.
_HELLO_S: Final = 15.0
#: How long a port may be in the hands of another program.
_BUSY_S: Final = 3.0
#: `esptool chip-id` on a port where no ESP32 is gives up after so long.
_ASK_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be written, where, and how."""

    chip: Chip
    writer: Writer
    image: Image
    #: The serial port on which the board will answer; None where only its owner knows.
    port: str | None


def plan(where: Plugged, platform: str | None, firmware: Path | None) -> Plan:
    """Return how to flash what is plugged in there.

    Raises UsageError for a chip that is not known, or not the one of --platform.
    """
    chip = _chip_at(where, platform)
    if chip.softdevice is not None and where.softdevice not in {None, chip.softdevice}:
        raise UsageError(
            f"{where.where}: its bootloader starts what is behind SoftDevice S140"
            f" {where.softdevice}.x, and this image begins behind {chip.softdevice}.x",
            hint="build an image for it: firmware/ports/nrf52840/boards.txt",
        )
    writer, port = _writer_for(where, chip)
    if firmware is None:
        image = our_image(chip, writer.suffix)
    else:
        image = users_image(chip, firmware, writer.suffix)
    return Plan(chip, writer, image, port)


def at(path: str) -> Plugged:
    """Return what a user's PORT is: a drive's folder, a debug probe, or a serial port."""
    if path.startswith("probe:"):
        return Plugged("probe", path.removeprefix("probe:"), "debug probe")
    if Path(path).is_dir():
        found = drive_at(Path(path))
        if found is None:
            raise UsageError(
                f"{path}: no drive of a bootloader or an ST-Link: INFO_UF2.TXT and MBED.HTM are"
                " missing",
                hint="edgeprof flash without a port lists what is plugged in",
            )
        return found
    return next(
        (port for port in ports() if port.where == path), Plugged("serial port", path, path)
    )


def hello_at(port: str, settings: Settings, timeout_s: float = _HELLO_S) -> Hello:
    """Return the HELLO of the board on a port. Raises a Fault when none comes."""
    options = OpenOptions(
        lock_dir=settings.lock_dir,
        slot_dir=settings.cache_dir / "slots",
        open_timeout_s=timeout_s,
        find_placer=find_placer(BoardConfig(url=port)),
    )
    board = open_board(port, options)
    try:
        return board.hello
    finally:
        board.close()


def until_free(port: str) -> None:
    """Wait for a serial port that another program has; ModemManager asks each new one for a moment.

    Raises HostFault, which names that program, or says that the port is absent or not ours to open:
    the programs that write take all of these for a board that does not answer.
    """
    until_s = time.monotonic() + _BUSY_S
    while True:
        try:
            close_port(open_port(port, DEFAULT_BAUD), port)
        except HostFault as fault:
            if fault.code != "port_busy" or time.monotonic() > until_s:
                raise
            time.sleep(0.2)
        else:
            return


def check(done: Plan, port: str, settings: Settings) -> Hello:
    """Return the HELLO of a board that was just flashed, which names the image's build.

    Raises a Fault that says how to get the board back.
    """
    try:
        hello = hello_at(port, settings)
    except Fault as fault:
        hint = f"press RESET; if it stays silent: {done.chip.serial_port}"
        if fault.code == "version":  # an image of the user's own, of another time
            hint = (
                f"to get the board back: {done.chip.to_bootloader}, and run edgeprof flash"
                f" {done.writer.where} --platform {done.chip.image}, without --firmware"
            )
        raise type(fault)(
            f"the image is in the flash, but the board does not answer as it should: {fault}",
            code=fault.code,
            hint=hint,
        ) from fault
    if hello.platform != done.chip.platform or (
        done.image.git_hash is not None and hello.firmware_git_hash != done.image.git_hash
    ):
        raise BoardFault(
            f"{port}: the board that answers is a {hello.platform} with firmware"
            f" {hello.firmware_version} ({hello.firmware_git_hash}), not what was written",
            code="flash_verify",
            hint="is this the board that was flashed? edgeprof flash lists the ports",
        )
    return hello


def newer_than(hello: Hello, chip: Chip) -> Description | None:
    """Return this edgeprof's own image for a chip, when it is newer than what the board runs."""
    ours = built_for(chip.image)
    if ours is None or _numbers(ours.version) <= _numbers(hello.firmware_version):
        return None
    return ours


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def who_is_at(where: Plugged, settings: Settings, on_line: OnLine) -> Plugged:
    """Return what is on a serial port with the images that fit the chip's answer, if it gives one.

    A chip does not know its board: several images may fit.
    """
    port = where.where
    try:
        on_line(f"{port}: asking for firmware of ours")
        platform = hello_at(port, settings, _OURS_S).platform
        return replace(where, images=images_of(platform))
    except LinkFault:
        pass  # nothing of ours; faults of the port itself (absent, busy, no permission) are told
    on_line(f"{port}: asking for the bootloader of an ESP32")
    try:
        _, said = program.run("esptool", ["--port", port, "chip-id"], on_line, _ASK_S)
    except HostFault as fault:
        if fault.code != "flash_timeout":
            raise
        return where
    found = re.search(r"^Connected to (\S+) on", said, re.MULTILINE)
    if found is None:
        return where
    for chip in CHIPS.values():  # a port of ours comes before the app of ESP-IDF
        if chip.esptool and chip.esptool_name == found[1]:
            return replace(where, images=(chip.image,))
    raise UsageError(
        f"{port}: the chip is an {found[1]}, and there is no firmware of ours for it",
        hint=f"chips: {', '.join(CHIPS)}",
    )


def _chip_at(where: Plugged, platform: str | None) -> Chip:
    if platform is not None:
        chip = chip_of(platform)
        if where.images and platform not in where.images:
            raise UsageError(
                f"{where.where} is a {where.says}: {', '.join(where.images)}, not {platform}",
                hint="leave --platform out, or name another port",
            )
        return chip
    if len(where.images) == 1:
        return chip_of(where.images[0])
    raise UsageError(
        f"{where.where} ({where.says}): which chip is there, on which board?",
        hint=f"--platform {'|'.join(where.images or CHIPS)}",
    )


def _writer_for(where: Plugged, chip: Chip) -> tuple[Writer, str | None]:
    ways: dict[tuple[Kind, bool], type[Writer]] = {
        ("uf2 drive", chip.uf2_family is not None): Uf2Drive,
        ("st-link drive", bool(chip.stlink_boards)): StLinkDrive,
        ("probe", chip.pyocd is not None): Probe,
        ("serial port", chip.esptool is not None): Esptool,
        ("serial port", chip.stm32_family is not None): Stm32loader,
    }
    writer = ways.get((where.kind, True))
    if writer is not None:
        speaks_there = where.kind == "serial port" and chip.speaks_there
        return writer(chip, where.where), where.where if speaks_there else None
    raise UsageError(
        f"{chip.name} cannot be flashed by way of {where.where} ({where.says})",
        hint=f"{chip.to_bootloader}, and run edgeprof flash again",
    )
