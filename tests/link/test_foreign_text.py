"""What a port says on which no firmware of ours is, in words for a person."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeprof.workers.link.foreign_text import KEPT_BYTES, what_speaks

PORT = "/dev/ttyACM0"


@pytest.mark.parametrize(
    ("heard", "says", "hint"),
    [
        (
            b"\xfe\x00ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\nrst:0x1 (POWERON),boot:0x8",
            '"ESP-ROM:esp32s3-20210327": the boot text of an ESP32 without our firmware',
            f"edgeprof flash {PORT}",
        ),
        (
            b"ESP-ROM:esp32c3-api1-20210207\r\nboot:0x4 (DOWNLOAD)\r\nwaiting for download\r\n",
            '"waiting for download": an ESP32 in its bootloader: press RESET, or flash it',
            f"edgeprof flash {PORT}",
        ),
        (
            b"ets Jun  8 2016 00:22:57\r\n\r\nrst:0x1 (POWERON_RESET),boot:0x13",
            '"ets Jun  8 2016 00:22:57": the boot text of an ESP32',
            f"edgeprof flash {PORT}",
        ),
        (
            b"\r\nMicroPython v1.22.2 on 2024-02-22; Raspberry Pi Pico with RP2040\r\n>>> ",
            '"MicroPython v1.22.2 on 2024-02-22; Raspberry Pi Pico with RP2040": MicroPython',
            f"edgeprof flash {PORT}",
        ),
        (b"a\r\n>>> ", '">>>": the prompt of a Python', f"edgeprof flash {PORT}"),
        (
            b"temp=21.5 C\r\ntemp=21.6 C\r\n",
            'it says "temp=21.5 C"',
            f"another firmware speaks there; if it is a board of yours: edgeprof flash {PORT}",
        ),
        (
            b"\xe0\x1c\x00\xfc" * 10,
            "no text",
            "another baud rate, or another firmware, speaks there",
        ),
    ],
)
def test_speakers_are_told_apart(heard: bytes, says: str, hint: str) -> None:
    """Boot text of an ESP32, Pythons, other text, and none."""
    assert what_speaks(heard, PORT) == (says, hint)


@given(heard=st.binary(max_size=KEPT_BYTES))
def test_whatever_comes_is_one_harmless_line(heard: bytes) -> None:
    """Bytes of a stranger command no terminal, and begin no second line of a log."""
    assert all(line.isprintable() for line in what_speaks(heard, PORT))
