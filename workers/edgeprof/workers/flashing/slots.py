"""Writes models into the slots of boards, by the ways that need no person.

The lines of an ESP32's serial port bring its ROM bootloader up, and a debug probe needs none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeprof.shared.errors import BoardFault
from edgeprof.workers.board.config import BoardConfig
from edgeprof.workers.board.flash import FindPlacer, FlashTool, SlotPlacer, only_emulated
from edgeprof.workers.flashing import program
from edgeprof.workers.flashing.chips import CHIPS
from edgeprof.workers.flashing.writers import AddressWriter, Esptool, Probe

_PROBE: Final = "probe:"
#: What to do, by the fault's code: the board's firmware is not what was being written.
_HINTS: Final = {
    "flash_interrupted": "its firmware is whole, only the model is not: press RESET, and the next"
    " job writes the model again",
    "no_bootloader": "do DTR and RTS of its port reset the board? if not, boards.toml can name a"
    " program that writes models: flash = [...]",
}


@dataclass(frozen=True, slots=True)
class ChipWriter:
    """Writes the slot at its address in the chip."""

    url: str
    writer: AddressWriter
    address: int
    upload_bytes_per_s: int | None = None

    def place(self, slot: Path, check_stop: Callable[[], None]) -> str:
        """Write the slot; the board is then where it was. Raises BoardFault."""
        try:
            self.writer.write_at(self.address, slot, lambda _line: None, check_stop)
        except BoardFault as fault:
            fault.hint = _HINTS.get(fault.code, fault.hint)
            raise
        return self.url


def find_placer(config: BoardConfig) -> FindPlacer:
    """Return the finder of the way for a board of this host; what boards.toml names goes first."""

    def find(url: str, platform: str) -> SlotPlacer | None:
        if (emulator := only_emulated(url, platform)) is not None:
            return emulator
        if config.flash:
            return FlashTool(url, config.flash)
        return _chip_writer(url, platform, config.flash_by)

    return find


def _chip_writer(url: str, platform: str, flash_by: str | None) -> ChipWriter | None:
    where = flash_by or url
    for chip in CHIPS.values():
        # Boards with one chip have one place for models, though perhaps an image each.
        if chip.platform != platform or chip.slot_address is None:
            continue
        writer: AddressWriter
        if where.startswith(_PROBE) and chip.pyocd is not None:
            writer = Probe(chip, where.removeprefix(_PROBE))
        elif where.startswith("/") and chip.esptool is not None:
            writer = Esptool(chip, where)
        else:
            continue
        if program.is_installed(writer.module):
            return ChipWriter(url, writer, chip.slot_address)
    return None
