"""An ESP32 over a serial port, by esptool against a mock of Espressif's ROM bootloader."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeprof.shared.errors import UsageError
from edgeprof.shared.settings import Settings
from edgeprof.workers.flashing.chips import CHIPS
from edgeprof.workers.flashing.flash import who_is_at
from edgeprof.workers.flashing.images import users_image
from edgeprof.workers.flashing.plugged import Plugged
from tests.flashing.conftest import Run
from tests.support.esp32_bootloader import read_flash

pytestmark = pytest.mark.qemu

DIRECT_BOOT = bytes.fromhex("1d04dbae")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "own.bin"
    path.write_bytes(2 * DIRECT_BOOT + bytes(range(256)) * 64)
    return path


def test_chip_is_asked_and_the_image_written(
    flash: Run, esp: Callable[[str], str], image: Path
) -> None:
    """Without --platform the chip says what it is; what is in its flash then is the image."""
    port = esp("esp32c3")

    done = flash(port, "--firmware", str(image), "--yes")

    # The mock has no firmware that could answer, and that is said, too.
    assert done.returncode == 3
    assert "written and verified" in done.stderr
    assert "no HELLO" in done.stderr
    assert read_flash(port, 0, image.stat().st_size) == image.read_bytes()


def test_image_of_esp_idf_is_whole(tmp_path: Path) -> None:
    """An ESP32's begins with the gap before its bootloader; a program without one is refused."""
    chip = CHIPS["esp32-idf"]
    whole, program = tmp_path / "tlep-esp32-idf.bin", tmp_path / "tlep.bin"
    program.write_bytes(b"\xe9" + bytes(range(256)) * 256)
    whole.write_bytes(b"\xff" * 0x8000 + b"\xaa\x50" + bytes(0x7FFE) + program.read_bytes())

    assert users_image(chip, whole, ".bin").path == whole
    with pytest.raises(UsageError, match=r"idf.py merge-bin"):
        users_image(chip, program, ".bin")


def test_chip_without_a_built_image(flash: Run) -> None:
    """What only ESP-IDF can build is said, with where that is explained."""
    done = flash("/dev/null", "-p", "esp32s3-idf", "--dry-run")

    assert done.returncode == 3
    assert "firmware/ports/esp-idf/README.md" in done.stderr


def test_image_of_another_chip(flash: Run, esp: Callable[[str], str], image: Path) -> None:
    """The chip that answers is not the one that was named: both are, and nothing is written."""
    port = esp("esp32s3")

    done = flash(port, "-p", "esp32c3", "--firmware", str(image), "--yes")

    assert done.returncode == 3
    assert (
        "the chip is an ESP32-S3, the image is for an ESP32-C3; nothing was written" in done.stderr
    )


def test_chip_without_a_port_of_ours(flash: Run, esp: Callable[[str], str]) -> None:
    """It is named, with those that there is firmware for."""
    done = flash(esp("esp8266"), "--dry-run")

    assert done.returncode == 2
    assert "the chip is an ESP8266, and there is no firmware of ours" in done.stderr


def test_what_a_port_says(esp: Callable[[str], str], tmp_path: Path) -> None:
    """The questions that were asked are told, for the line that shows progress."""
    lines: list[str] = []
    settings = Settings(cache_dir=tmp_path / "cache", lock_dir=tmp_path / "locks")

    where = Plugged("serial port", esp("esp32c3"), "a port")
    assert who_is_at(where, settings, lines.append).images == ("esp32c3",)
    assert any("bootloader of an ESP32" in line for line in lines)


def test_json_of_a_dry_run(flash: Run, image: Path) -> None:
    """A script reads what would be done."""
    done = flash("/dev/null", "-p", "esp32c3", "--firmware", str(image), "--dry-run", "--json")

    told = json.loads(done.stdout)
    assert (told["platform"], told["written"], told["image"]) == ("esp32c3", False, str(image))
