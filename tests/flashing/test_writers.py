"""Ways of flashing that no peer of a chip can show: what users read when they fail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgeprof.shared.errors import BoardFault
from edgeprof.workers.flashing import writers
from edgeprof.workers.flashing.chips import CHIPS
from edgeprof.workers.flashing.images import Image

STM32 = replace(CHIPS["stm32f405"], stlink_boards=("NODE_F446RE",))


@pytest.fixture
def image(tmp_path: Path) -> Image:
    path = tmp_path / "own.hex"
    path.write_text(":020000040800F2\n:0400000000000220DA\n:00000001FF\n")
    return Image(STM32, path, sha256="")


def test_probe_that_is_not_there(image: Image) -> None:
    """pyOCD itself ends at once, and the user reads what to look at."""
    with pytest.raises(BoardFault, match="pyOCD could not write") as caught:
        writers.Probe(STM32, "0123456789ab").write(image, lambda _line: None)

    assert "SWDIO" in str(caught.value.hint)


def test_st_link_says_why_it_failed(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ST-Link takes any file, and leaves FAIL.TXT when it could not write it."""
    drive = tmp_path / "NODE_F446RE"
    drive.mkdir()
    failure = drive / "FAIL.TXT"

    def fail(line: str) -> None:
        if "waiting" in line:
            failure.write_text("The target is not responding.\n")

    with pytest.raises(BoardFault, match="target is not responding"):
        writers.StLinkDrive(STM32, str(drive)).write(image, fail)

    assert failure.exists()  # and says nothing about the next try
    monkeypatch.setattr(writers, "ST_LINK_S", 0.0)
    writers.StLinkDrive(STM32, str(drive)).write(image, lambda _line: None)
    assert (drive / "own.hex").read_bytes() == image.path.read_bytes()
