"""The ways to write an image into a chip: each takes one kind of file, writes it and verifies it.

A writer raises a Fault that says what happened to the board, and how to get it back.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from edgeprof.shared.errors import BoardFault, HostFault
from edgeprof.workers.flashing import program
from edgeprof.workers.flashing.chips import Chip
from edgeprof.workers.flashing.program import CheckStop, OnLine, last_words

if TYPE_CHECKING:  # its libraries for kinds of files are no business of a worker, which has none
    from edgeprof.workers.flashing.images import Image

#: A bootloader has restarted the board, and its drive is gone, within so many seconds.
DRIVE_GONE_S: Final = 15.0
#: An ST-Link has told by then whether it could write.
ST_LINK_S: Final = 5.0
#: Programs that look at every new port (ModemManager) have let go of it by then.
BUSY_S: Final = 10.0
_POLL_S: Final = 0.2
_ESP_BAUD: Final = "460800"


@dataclass(frozen=True)
class Writer(ABC):
    """A way to write an image into a chip."""

    #: The end of the name of the files that it takes.
    suffix: ClassVar[str]
    #: What it does, for the user to agree to; {} is `where`.
    how: ClassVar[str]

    chip: Chip
    #: A serial port, the folder of a drive, or the id of a probe.
    where: str

    def describe(self) -> str:
        """Return what it does, in a few words."""
        return self.how.format(self.where)

    @abstractmethod
    def write(self, image: Image, on_line: OnLine, /) -> None:
        """Write and verify the image, and start the board."""


class AddressWriter(Writer):
    """A way to write at an address that needs no person: it brings the chip there by itself."""

    #: The program that does it.
    module: ClassVar[str]

    @abstractmethod
    def write_at(self, address: int, file: Path, on_line: OnLine, check_stop: CheckStop, /) -> None:
        """Write and verify a file's bytes there and touch no others, and start the board.

        check_stop is called several times a second; when it raises, the program is ended.
        """


class Esptool(AddressWriter):
    """Writes over a serial port by the ROM bootloader of an ESP32; esptool verifies by MD5."""

    suffix = ".bin"
    how = "by esptool over {}"
    module = "esptool"

    def write(self, image: Image, on_line: OnLine, /) -> None:
        self.write_at(self.chip.address, image.path, on_line, lambda: None)

    def write_at(self, address: int, file: Path, on_line: OnLine, check_stop: CheckStop, /) -> None:
        arguments = ["--chip", str(self.chip.esptool), "--port", self.where, "--baud", _ESP_BAUD]
        arguments += ["write-flash", f"{address:#x}", str(file)]
        until_s = time.monotonic() + BUSY_S
        while True:
            code, said = program.run(self.module, arguments, on_line, check_stop=check_stop)
            if "exclusively lock port" not in said or time.monotonic() > until_s:
                break
            time.sleep(_POLL_S)
        if code == 0 and "Hash of data verified" in said:
            return
        if wrong := re.search(r"This chip is (\S+), not (\S+?)\.", said):
            raise BoardFault(
                f"{self.where}: the chip is an {wrong[1]}, the image is for an {wrong[2]}; nothing"
                " was written",
                code="wrong_chip",
                hint="leave --platform out: the chip is asked",
            )
        if "Writing at" in said or "erased" in said:
            raise interrupted(self.where, self.chip, said)
        raise no_bootloader(self.where, self.chip, said)


class Stm32loader(Writer):
    """Writes over a serial port by ST's ROM bootloader (AN3155), and reads everything back."""

    suffix = ".bin"
    how = "by ST's ROM bootloader over {}"

    def write(self, image: Image, on_line: OnLine, /) -> None:
        port = ["-p", self.where, "-f", str(self.chip.stm32_family), "-n"]
        code, said = program.run("stm32loader", port, on_line)
        found = re.search(r"Chip id: 0x([0-9A-F]+) \((.*?)\)", said, re.IGNORECASE)
        if code != 0 or found is None:
            raise no_bootloader(self.where, self.chip, said)
        if int(found[1], 16) not in self.chip.stm32_ids:
            raise BoardFault(
                f"{self.where}: the chip is an {found[2]} (id {found[1]}), the image is for an"
                f" {self.chip.name}; nothing was written",
                code="wrong_chip",
                hint="choose the platform of this chip: edgeprof flash --list",
            )
        address = f"{self.chip.address:#x}"
        action = ["-e", "-w", "-v", "-a", address, "-g", address, str(image.path)]
        code, said = program.run("stm32loader", [*port, *action], on_line)
        if code != 0 or "Verification OK" not in said:
            raise interrupted(self.where, self.chip, said)


class Probe(AddressWriter):
    """Writes by a debug probe; pyOCD compares what it has written."""

    suffix = ".hex"
    how = "by debug probe {}"
    module = "pyocd"

    def write(self, image: Image, on_line: OnLine, /) -> None:
        self._load([str(image.path)], on_line, lambda: None)

    def write_at(self, address: int, file: Path, on_line: OnLine, check_stop: CheckStop, /) -> None:
        there = ["--format", "bin", "--base-address", f"{address:#x}"]
        self._load([*there, str(file)], on_line, check_stop)

    def _load(self, what: list[str], on_line: OnLine, check_stop: CheckStop) -> None:
        arguments = ["load", "--no-wait", "--uid", self.where, "--target", str(self.chip.pyocd)]
        arguments += ["--erase", "sector", *what]
        code, said = program.run(self.module, arguments, on_line, check_stop=check_stop)
        if code != 0:
            raise BoardFault(
                f"probe {self.where}: pyOCD could not write {self.chip.name}: {last_words(said)}",
                code="flash_failed",
                hint="is the probe wired to SWDIO, SWCLK and GND, and the board powered? a target"
                f" that pyOCD lacks comes by: pyocd pack install {self.chip.pyocd}",
            )


class Uf2Drive(Writer):
    """Copies a UF2 file onto the drive of a bootloader, which checks each block.

    The drive vanishes when the board restarts, which it does with the last block.
    """

    suffix = ".uf2"
    how = "by a copy onto the drive {}"

    def write(self, image: Image, on_line: OnLine, /) -> None:
        folder = Path(self.where)
        copy_onto(folder, image.path, on_line)
        on_line("waiting for the board to restart")
        if not _until(lambda: not (folder / "INFO_UF2.TXT").exists(), DRIVE_GONE_S):
            raise BoardFault(
                f"{folder}: the bootloader took the file, and did not restart the board",
                code="flash_failed",
                hint=f"is the image for {self.chip.name}? {self.chip.to_bootloader}, and run the"
                " same command again",
            )


class StLinkDrive(Writer):
    """Copies a raw image onto the drive of an ST-Link, which writes what fails into FAIL.TXT."""

    suffix = ".bin"
    how = "by a copy onto the drive {}"

    def write(self, image: Image, on_line: OnLine, /) -> None:
        failure = Path(self.where) / "FAIL.TXT"
        with contextlib.suppress(OSError):
            failure.unlink(missing_ok=True)  # of an earlier try
        copy_onto(Path(self.where), image.path, on_line)
        on_line("waiting for the ST-Link to write")
        if _until(failure.exists, ST_LINK_S):
            raise BoardFault(
                f"{self.where}: the ST-Link could not write: {failure.read_text().strip()}",
                code="flash_failed",
                hint="plug the board in anew, and run the same command again",
            )


_GONE: Final = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN}
_DRIVE_HINTS: Final = {
    errno.ENOSPC: "the drive is full: delete what somebody left on it, or plug it in anew",
    errno.EROFS: "it is mounted read-only: unplug it, and mount it anew",
    errno.EACCES: "it was mounted by somebody else: mount it as yourself, or use sudo",
}


def interrupted(where: str, chip: Chip, said: str) -> BoardFault:
    """Return the fault of a board whose flash holds a part of the image."""
    return BoardFault(
        f"{where}: writing broke off: {last_words(said)}",
        code="flash_interrupted",
        hint="the board has no whole firmware, but nothing is lost for good:"
        f" {chip.to_bootloader}, and run the same command again",
    )


def no_bootloader(where: str, chip: Chip, said: str) -> BoardFault:
    """Return the fault of a board whose bootloader does not answer; nothing was written."""
    return BoardFault(
        f"{where}: the bootloader of an {chip.name} does not answer: {last_words(said)}",
        code="no_bootloader",
        hint=f"{chip.to_bootloader}, and run the same command again",
    )


def copy_onto(folder: Path, source: Path, on_line: OnLine) -> None:
    """Copy a file onto a board's drive. Raises HostFault.

    A bootloader restarts the board with the last block, often before the copy has returned: then
    the drive is gone, and that is no error.
    """
    on_line(f"copying {source.name} onto {folder}")
    try:
        with (folder / source.name).open("wb") as out:
            out.write(source.read_bytes())
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        if error.errno in _GONE:
            return
        raise HostFault(
            f"cannot copy onto {folder}: {error.strerror}",
            code="flash_failed",
            hint=_DRIVE_HINTS.get(error.errno or 0, "unplug the board, and try again"),
        ) from None


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
