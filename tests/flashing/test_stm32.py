"""An STM32 over a serial port, by stm32loader against a peer that speaks AN3155."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import serial

from edgeprof.workers.emulated.child import firmware_dir
from tests.flashing.conftest import Run
from tests.support.stm32_bootloader import Stm32Peer

pytestmark = pytest.mark.qemu

IMAGE = firmware_dir() / "stm32f405" / "tlep-stm32f405.bin"
CHIP = ("--platform", "stm32f405")


def test_from_the_box_to_a_board_that_answers(flash: Run, stm32: Callable[..., Stm32Peer]) -> None:
    """The image is written, verified and started; the board answers with the build that was
    written, and the user reads what to type next."""
    peer = stm32()

    done = flash(peer.port, *CHIP, "--yes", "--json")

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert peer.flash.startswith(IMAGE.read_bytes())
    assert (told["written"], told["uid"]) == (True, "f457")
    assert f"next: edgeprof worker --board {peer.port}" in done.stderr
    # No model of ours fits its RAM, and nothing writes its flash over this port: no job is told.
    assert "name a debug probe in boards.toml" in done.stderr
    assert told["device_id"] == "stm32f405-f457"


def test_image_of_one_of_several_boards(flash: Run, stm32: Callable[..., Stm32Peer]) -> None:
    """An F411 gets the image of the board that was named, and the platform that answers is the
    chip's."""
    peer = stm32(chip_id=0x431)

    done = flash(peer.port, "--platform", "stm32f411-blackpill", "--yes", "--json")

    assert done.returncode == 0, done.stderr
    image = firmware_dir() / "stm32f411-blackpill" / "tlep-stm32f411-blackpill.bin"
    assert peer.flash.startswith(image.read_bytes())
    assert json.loads(done.stdout)["device_id"] == "stm32f411-f457"


def test_image_of_an_older_protocol(
    flash: Run, stm32: Callable[..., Stm32Peer], of_an_older_protocol: Path
) -> None:
    """A board that no host of today understands: both versions are named, and the way back leads
    to a board that answers."""
    peer = stm32()

    done = flash(peer.port, *CHIP, "--firmware", str(of_an_older_protocol), "--yes")

    assert done.returncode == 3
    (error, hint) = done.stderr.splitlines()[-2:]
    assert error.startswith("error: the image is in the flash, but")
    assert error.endswith("the board speaks link protocol 0, this host 1")
    again = f"edgeprof flash {peer.port} --platform stm32f405"
    assert f"connect BOOT0 to 3.3 V and press RESET, and run {again}, without --firmware" in hint

    peer.reset_to_bootloader()
    done = flash(peer.port, *CHIP, "--yes")
    assert done.returncode == 0, done.stderr
    assert "stm32f405-f457 answers" in done.stderr


def test_image_of_an_older_version(
    flash: Run, stm32: Callable[..., Stm32Peer], tmp_path: Path
) -> None:
    """It works, and the user reads that this edgeprof has a newer one."""
    peer, old = stm32(), tmp_path / "old.bin"
    assert IMAGE.read_bytes().count(b"\x000.1.0\0") == 1
    old.write_bytes(IMAGE.read_bytes().replace(b"\x000.1.0\0", b"\x000.0.9\0"))

    done = flash(peer.port, *CHIP, "--firmware", str(old), "--yes")

    assert done.returncode == 0, done.stderr
    assert "answers: firmware 0.0.9, older than the 0.1.0 of this edgeprof" in done.stderr


def test_firmware_that_speaks_elsewhere_is_not_waited_for(
    flash: Run, stm32: Callable[..., Stm32Peer]
) -> None:
    """A Nucleo's bootloader has other pins than its ST-Link: the user reads where to go on."""
    peer = stm32(chip_id=0x421)

    done = flash(peer.port, "--platform", "stm32f446", "--yes")

    assert done.returncode == 0, done.stderr
    assert "written and verified" in done.stderr
    assert "next: the firmware speaks on the ST-Link's own serial port" in done.stderr


def test_dry_run_writes_nothing(flash: Run, stm32: Callable[..., Stm32Peer]) -> None:
    """It says what would be written, and touches no flash."""
    peer = stm32()

    done = flash(peer.port, *CHIP, "--dry-run")

    assert done.returncode == 0
    assert "tlep-stm32f405.bin 0.1.0, by ST's ROM bootloader" in done.stderr
    assert peer.calls == []


def test_another_chip_is_refused_before_it_is_written(
    flash: Run, stm32: Callable[..., Stm32Peer]
) -> None:
    """The ROM bootloader names its chip; an F411's flash keeps what it has."""
    peer = stm32(chip_id=0x431)

    done = flash(peer.port, *CHIP, "--yes")

    assert done.returncode == 3
    assert "nothing was written" in done.stderr
    assert set(peer.flash) == {0xFF}


def test_unplugged_in_the_middle_says_how_to_recover(
    flash: Run, stm32: Callable[..., Stm32Peer]
) -> None:
    """Half an image is no loss: the ROM bootloader takes it again."""
    peer = stm32(unplug_after=20)

    done = flash(peer.port, *CHIP, "--yes")

    assert done.returncode == 3
    assert "writing broke off" in done.stderr
    assert "BOOT0" in done.stderr


def test_program_that_has_the_port_is_named(flash: Run, stm32: Callable[..., Stm32Peer]) -> None:
    """A serial monitor left open is no silent bootloader; the chip keeps what it has."""
    peer = stm32()
    with serial.Serial(peer.port, exclusive=True):
        done = flash(peer.port, *CHIP, "--yes")

    assert done.returncode == 3
    assert f"the port is busy: process {os.getpid()} " in done.stderr
    assert peer.calls == []


def test_silent_port_says_how_to_bring_the_bootloader_up(flash: Run, silent_port: str) -> None:
    """Nothing answers: what to press, and that nothing was written."""
    done = flash(silent_port, *CHIP, "--yes")

    assert done.returncode == 3
    assert "does not answer" in done.stderr
    assert "connect BOOT0 to 3.3 V" in done.stderr


def test_file_that_is_no_image_for_the_chip(flash: Run, tmp_path: Path) -> None:
    """An ELF, text, and an image without a stack pointer are refused with their kind."""
    for name, content, says in (
        ("a.bin", b"\x7fELF" + bytes(600), "this is an ELF file"),
        ("b.bin", bytes(600), "does not begin with a stack pointer"),
        ("c.hex", b":00000001FF\n" * 40, "takes a .bin file"),
        ("d.bin", b"", "0 bytes are no firmware"),
    ):
        (tmp_path / name).write_bytes(content)
        done = flash("/dev/null", *CHIP, "--firmware", str(tmp_path / name), "--dry-run")
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
