"""firmware/ports/stm32f4/*.txt as the tests read them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PORT = Path(__file__).parents[2] / "firmware" / "ports" / "stm32f4"


@dataclass(frozen=True, slots=True)
class Row:
    """An image, and what of its chip decides the clock tree."""

    image: str
    chip: str
    hse_mhz: int
    bypass: bool
    uart: int
    core_hz: int
    apb_hz: tuple[int, int]


def _rows(name: str) -> list[list[str]]:
    lines = (PORT / name).read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def rows() -> list[Row]:
    """Return a row for each image."""
    chips = {row[0]: row for row in _rows("chips.txt")}
    found = []
    for image, chip, hse_mhz, hse, uart, *_ in _rows("boards.txt"):
        core_hz = int(chips[chip][5]) * 1_000_000
        apb_hz = (core_hz // int(chips[chip][9]), core_hz // int(chips[chip][10]))
        found.append(Row(image, chip, int(hse_mhz), hse == "bypass", int(uart), core_hz, apb_hz))
    return found
