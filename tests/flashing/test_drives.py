"""Drives of bootloaders: found by their files, and given a UF2 file that is for them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from uf2utils.file import UF2File

from edgeprof.workers.flashing import plugged
from tests.flashing.conftest import Run

RP2040 = 0xE48BFF56
INFO = "UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"


def uf2(path: Path, family: int = RP2040) -> Path:
    image = UF2File(board_family=family)
    image.append_payload(bytes(range(256)) * 8, 0x10000000)
    image.to_file(str(path))
    return path


class Bootloader:
    """A folder that behaves as an RP2040's drive: it vanishes when a whole UF2 file is there."""

    def __init__(self, folder: Path, *, restarts: bool = True) -> None:
        self.folder = folder
        self.received = b""
        folder.mkdir()
        (folder / "INFO_UF2.TXT").write_text(INFO)
        (folder / "INDEX.HTM").write_text("")
        self._restarts = restarts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            for path in self.folder.glob("*.uf2"):
                data = path.read_bytes()
                blocks = int.from_bytes(data[24:28], "little")
                if data and len(data) == 512 * blocks and self._restarts:
                    self.received = data
                    for each in self.folder.iterdir():
                        each.unlink()
                    return

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def bootloader(tmp_path: Path) -> Iterator[Callable[..., Bootloader]]:
    made: list[Bootloader] = []

    def make(**options: bool) -> Bootloader:
        made.append(Bootloader(tmp_path / "RPI-RP2", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_file_is_copied_and_the_board_restarts(
    flash: Run, bootloader: Callable[..., Bootloader], tmp_path: Path
) -> None:
    """The drive says which chip it is; the user reads how the board speaks then."""
    drive = bootloader()
    own = uf2(tmp_path / "own.uf2")

    done = flash(str(drive.folder), "--firmware", str(own), "--yes")

    assert done.returncode == 0, done.stderr
    assert drive.received == own.read_bytes()
    assert "GP0 is TX" in done.stderr


def test_file_of_another_chip_is_not_copied(
    flash: Run, bootloader: Callable[..., Bootloader], tmp_path: Path
) -> None:
    """Its blocks name their family; a cut file and other files are no UF2."""
    drive = bootloader()
    other = uf2(tmp_path / "other.uf2", 0xADA52840)
    cut = tmp_path / "cut.uf2"
    cut.write_bytes(other.read_bytes()[:700])
    text = tmp_path / "text.uf2"
    text.write_bytes(b"x" * 1024)

    for path, says in (
        (other, "made for another chip (UF2 family 0xada52840)"),
        (cut, "not a UF2 file"),
        (text, "not a UF2 file"),
    ):
        done = flash(str(drive.folder), "--firmware", str(path), "--yes")
        assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert drive.received == b""


def test_bootloader_that_does_not_restart(
    flash: Run, bootloader: Callable[..., Bootloader], tmp_path: Path
) -> None:
    """A file that was taken and did nothing is no success, and the user reads what to press."""
    drive = bootloader(restarts=False)

    done = flash(str(drive.folder), "--firmware", str(uf2(tmp_path / "own.uf2")), "--yes")

    assert done.returncode == 3
    assert "did not restart" in done.stderr
    assert "hold BOOTSEL" in done.stderr


@pytest.mark.parametrize(("options", "says"), [("size=32k", "is full"), ("ro", "read-only")])
def test_drive_that_takes_nothing(tmp_path: Path, options: str, says: str) -> None:
    """A real file system, full or mounted read-only, in a mount namespace of its own.

    It is a tmpfs: kernels without FAT run these tests, too.
    """
    folder, own, info = tmp_path / "RPI-RP2", tmp_path / "own.uf2", tmp_path / "INFO_UF2.TXT"
    folder.mkdir()
    info.write_text(INFO)
    image = UF2File(board_family=RP2040)
    image.append_payload(bytes(64 * 1024), 0x10000000)
    image.to_file(str(own))
    script = (
        f"mount -t tmpfs tmpfs {folder} && cp {info} {folder}"
        f" && mount -o remount,{options} {folder}"
        f" && {sys.executable} -m edgeprof.cli flash {folder} --firmware {own} --yes"
    )

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], check=False, capture_output=True, text=True
    )

    assert done.returncode == 3, done.stderr
    assert says in done.stderr


def test_folder_that_is_no_drive(flash: Run, tmp_path: Path) -> None:
    """Any folder is not a board's."""
    done = flash(str(tmp_path))

    assert done.returncode == 2
    assert "no drive of a bootloader" in done.stderr


def test_drives_are_found_mounted_or_not(tmp_path: Path) -> None:
    """A mounted one by its files, with a space in its path; another by its label."""
    pico, stick, labels = tmp_path / "my PICO", tmp_path / "stick", tmp_path / "by-label"
    for folder in (pico, stick, labels):
        folder.mkdir()
    (pico / "INFO_UF2.TXT").write_text(INFO)
    (labels / "RP2350").touch()
    (labels / "PHOTOS").touch()
    mounts = tmp_path / "mounts"
    escaped = str(pico).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda1 {escaped} vfat rw 0 0\n/dev/sdb1 {stick} vfat rw 0 0\n")

    found = list(plugged.drives(mounts, labels))

    assert [(each.kind, each.where, each.images) for each in found] == [
        ("uf2 drive", str(pico), ("rp2040",)),
        ("drive not mounted", str(labels / "RP2350"), ()),
    ]


def test_nothing_plugged_in_says_what_to_press(flash: Run) -> None:
    """Without a drive and a USB port there is nothing to flash, and every chip's way is told."""
    done = flash("--dry-run")

    assert done.returncode == 3
    assert "hold BOOTSEL while you plug it in" in done.stderr
