"""What a board says beside its frames is in the log, and noise is not."""

from __future__ import annotations

import logging

import pytest

from edgeprof.workers.link import framing
from edgeprof.workers.link.framing import Decoder, Kind
from edgeprof.workers.link.stray_text import StrayText

BOOT = b"\r\nESP-ROM:esp32s3-20210327\r\nrst:0x1 (POWERON),boot:0x8\r\nload:0x3fce3808\r\n"


@pytest.fixture
def decoder() -> Decoder:
    return Decoder(StrayText("/dev/ttyA").heard)


def test_boot_text_is_logged_and_the_frames_around_it_are_read(
    decoder: Decoder, caplog: pytest.LogCaptureFixture
) -> None:
    """Text before a frame is logged line by line; a damaged frame with words in it is not."""
    caplog.set_level(logging.INFO)
    frame = framing.encode(Kind.EVT, 1, b"\xa1\x01platform\x02esp32s3" + bytes(range(128)))
    damaged = frame[:-5] + b"\x07" + frame[-4:]
    frames = list(decoder.feed(BOOT + frame + damaged + frame))
    assert len(frames) == 2
    assert caplog.messages == [
        "/dev/ttyA: the board says: ESP-ROM:esp32s3-20210327",
        "/dev/ttyA: the board says: rst:0x1 (POWERON),boot:0x8",
        "/dev/ttyA: the board says: load:0x3fce3808",
    ]


def test_board_that_prints_for_ever_fills_no_log(
    decoder: Decoder, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a board's text some lines a minute are logged, and that there is more."""
    caplog.set_level(logging.INFO)
    for _ in range(30):
        assert list(decoder.feed(b"tick and tock\n" * 100)) == []
    assert len(caplog.messages) == 41
    assert caplog.messages[-1].endswith("says more, which is not logged")
