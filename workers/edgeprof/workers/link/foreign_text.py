"""Tells what is on a port where no firmware of ours answers, from the first that it says.

The texts: ESP-IDF's "ROM messages" (`ESP-ROM:esp32s3-20210327`, `rst:0x1 (POWERON)`; the first
ESP32 says `ets Jun  8 2016`), the banners and prompts of MicroPython and CircuitPython.
"""

from __future__ import annotations

import re
from typing import Final

from edgeprof.shared.sanitize import one_line

#: How much of what a port says is kept for this.
KEPT_BYTES: Final = 2048

_KNOWN: Final = (
    (re.compile(r"waiting for download"), "an ESP32 in its bootloader: press RESET, or flash it"),
    (re.compile(r"ESP-ROM:\S+"), "the boot text of an ESP32 without our firmware"),
    (re.compile(r"ets [A-Z][a-z]{2} +\d+ \d{4}[^\r\n]*"), "the boot text of an ESP32"),
    (re.compile(r"rst:0x[0-9a-f]+ \([A-Z_0-9]+\)"), "the boot text of an ESP32"),
    (re.compile(r"Adafruit CircuitPython [^\r\n]*"), "CircuitPython"),
    (re.compile(r"MicroPython v[^\r\n]*"), "MicroPython"),
    (re.compile(r"^>>> ?", re.MULTILINE), "the prompt of a Python"),
)
_TEXT: Final = re.compile(r"[\x20-\x7e]{4,}")


def what_speaks(heard: bytes, port: str) -> tuple[str, str]:
    """Return what was heard, in words for a person, and what to do."""
    text = heard.decode("ascii", "replace")
    for pattern, meaning in _KNOWN:
        if found := pattern.search(text):
            return f'"{one_line(found[0].strip(), 80)}": {meaning}', f"edgeprof flash {port}"
    lines = _TEXT.findall(text)
    printable = sum(map(len, lines))
    if lines and 2 * printable > len(heard):
        return (
            f'it says "{one_line(max(lines, key=len).strip(), 80)}"',
            f"another firmware speaks there; if it is a board of yours: edgeprof flash {port}",
        )
    return "no text", "another baud rate, or another firmware, speaks there"
