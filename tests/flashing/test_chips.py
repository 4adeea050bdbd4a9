"""The table of chips says what the firmware was built for, and what a drive shows chooses of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from intelhex import IntelHex
from pyocd.board.board_ids import BOARD_ID_TO_INFO
from pyocd.target.builtin import BUILTIN_TARGETS
from uf2utils.file import UF2File

from edgeprof.shared.errors import UsageError
from edgeprof.shared.settings import Settings
from edgeprof.workers.emulated.child import firmware_dir
from edgeprof.workers.flashing.chips import CHIPS, image_of
from edgeprof.workers.flashing.flash import plan, who_is_at
from edgeprof.workers.flashing.plugged import Plugged, drive_at
from tests.flashing.conftest import Run

PORTS = Path(__file__).parents[2] / "firmware" / "ports"


def rows(port: str, table: str = "boards.txt") -> Iterator[list[str]]:
    for line in (PORTS / port / table).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split()


def test_chips_are_those_of_the_firmware() -> None:
    """An image for each row of the ports' tables, with its chip's id and the pins of its UART."""
    ids = {chip: int(dev_id, 16) for chip, dev_id, *_ in rows("stm32f4", "chips.txt")}
    wanted = {image: (ids[chip], tx, rx) for image, chip, _, _, _, tx, rx, *_ in rows("stm32f4")}
    for image, hexadecimal, *row in rows("stm32l4"):
        wanted[image] = (int(hexadecimal, 16), row[7], row[8])

    assert {image for image in CHIPS if image.startswith("stm32")} == set(wanted)
    for image, (dev_id, tx, rx) in wanted.items():
        chip = CHIPS[image]
        assert chip.stm32_ids == (dev_id,)
        assert chip.stlink_boards or f"{tx} is TX, {rx} is RX" in chip.serial_port

    for image, base, _, family, tx, rx, *_ in rows("nrf52840"):
        if image == "nrf52840-qemu":
            assert image not in CHIPS
            continue
        chip = CHIPS[image]
        assert chip.address == int(base, 16)
        if family == "none":
            assert chip.uf2_family is None
        else:
            assert chip.uf2_family == int(family, 16)
            assert f"{tx})" in chip.serial_port.replace("TX, ", "")
            assert f"{rx})" in chip.serial_port.replace("RX, ", "")


#: No board of pyOCD's table has it; packs name an STM32 by its package, too, as they do those.
IN_A_PACK_ONLY = "stm32f411ceux"


def test_probe_knows_the_chip_by_that_name() -> None:
    """The name is a target of pyOCD itself, or, as the chip is in a pack, that of a board there."""
    known = {*BUILTIN_TARGETS, *(board.target for board in BOARD_ID_TO_INFO.values())}

    named = {chip.pyocd for chip in CHIPS.values() if chip.pyocd is not None}

    assert named - known == {IN_A_PACK_ONLY}


@pytest.mark.parametrize(
    "image", [image for image in CHIPS if image.startswith(("stm32", "nrf52840"))]
)
def test_image_begins_at_the_chips_address(image: str) -> None:
    """Whichever file a board takes: .hex and .uf2 carry addresses, .bin is what lies there."""
    chip, stem = CHIPS[image], firmware_dir() / image / f"tlep-{image}"
    binary = stem.with_suffix(".bin").read_bytes()
    content = IntelHex(str(stem.with_suffix(".hex")))

    assert content.minaddr() == chip.address
    assert content.tobinstr(size=len(binary)) == binary
    if chip.uf2_family is not None:
        header = next(iter(UF2File(str(stem.with_suffix(".uf2"))))).header
        assert (header.board_family, header.address) == (chip.uf2_family, chip.address)


def nrf_drive(folder: Path, board: str, softdevice: str) -> Path:
    folder.mkdir()
    lines = ("UF2 Bootloader 0.9.2", "Model: a board", f"Board-ID: {board}",
             f"SoftDevice: {softdevice}")  # fmt: skip
    (folder / "INFO_UF2.TXT").write_text("\r\n".join(lines))
    return folder


@pytest.mark.parametrize(
    ("board", "softdevice", "image"),
    [
        ("nRF52840-Feather-revD", "S140 6.1.1", "nrf52840-feather"),
        ("nRF52840-SeeedXiaoSense-v1", "S140 7.3.0", "nrf52840-xiao"),
        ("Seeed_XIAO_nRF52840", "S140 version 7.3.0", "nrf52840-xiao"),
    ],
)
def test_nrf_drive_names_its_board(
    flash: Run, tmp_path: Path, board: str, softdevice: str, image: str
) -> None:
    """No --platform is needed, and the image is the one behind the board's SoftDevice."""
    done = flash(str(nrf_drive(tmp_path / "drive", board, softdevice)), "--dry-run")

    assert done.returncode == 0, done.stderr
    assert f"tlep-{image}.uf2" in done.stderr


def test_image_that_would_lie_in_the_softdevice_is_refused(flash: Run, tmp_path: Path) -> None:
    """A Feather whose owner wrote a newer SoftDevice, and a board that is not known with it."""
    for board in ("nRF52840-Feather-revD", "nRF52840-nicenano"):
        drive = nrf_drive(tmp_path / board, board, "S140 7.3.0")
        done = flash(str(drive), "--platform", "nrf52840-feather", "--dry-run")
        assert done.returncode == 2
        assert "S140 7.x" in done.stderr


def test_st_link_drives_name_their_chip(tmp_path: Path) -> None:
    """The drive's label is the board's; one of a board that is not known fits no image."""
    for label, images in (
        ("NODE_F446RE", ("stm32f446",)),
        ("NOD_F411RE", ("stm32f411",)),
        ("DIS_L4IOT", ("stm32l475",)),
        ("NODE_H743ZI", ()),
    ):
        drive = tmp_path / label
        drive.mkdir()
        (drive / "MBED.HTM").touch()
        found = drive_at(drive)
        assert found is not None
        assert (found.kind, found.images) == ("st-link drive", images)


@pytest.mark.qemu
def test_port_whose_boards_share_a_chip_wants_the_board(tmp_path: Path) -> None:
    """A board with firmware of ours says its chip, and nothing guesses which board that is on."""
    settings = Settings(cache_dir=tmp_path / "cache", lock_dir=tmp_path / "locks")
    port = Plugged("serial port", "qemu://stm32f405?uid=0b", "a port")

    answered = who_is_at(port, settings, lambda _line: None)

    assert answered.images == ("stm32f405", "stm32f405-feather", "stm32f405-netduino")
    with pytest.raises(UsageError, match="on which board") as caught:
        plan(answered, None, None)
    assert "stm32f405|stm32f405-feather|stm32f405-netduino" in str(caught.value.hint)
    with pytest.raises(UsageError, match="not stm32f407"):
        plan(answered, "stm32f407", None)


def test_board_of_a_lab_names_its_image() -> None:
    """For `edgeprof boards upgrade`: the image of another board would leave it silent."""
    assert image_of("rp2040", None) == "rp2040"
    assert image_of("stm32f411", "stm32f411-blackpill") == "stm32f411-blackpill"
    with pytest.raises(UsageError, match="does not say which board") as caught:
        image_of("stm32f411", None)
    assert "'stm32f411' or 'stm32f411-blackpill'" in str(caught.value.hint)
    with pytest.raises(UsageError, match="is none of stm32f411's"):
        image_of("stm32f411", "stm32f405")
