"""The app for ESP-IDF, which is built elsewhere: what can rot here without a build."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any, Final

import yaml

from edgeprof.workers.flashing.chips import CHIPS

ROOT = Path(__file__).parents[2]
FIRMWARE = ROOT / "firmware"
APP = FIRMWARE / "ports" / "esp-idf"
PAGE_BYTES: Final = 64 * 1024
FLASH_BYTES: Final = 4 * 1024 * 1024
#: Where ESP-IDF puts the table itself, which has one sector of 4 KiB.
TABLE_END: Final = 0x9000


def text(*parts: str) -> str:
    return APP.joinpath(*parts).read_text(encoding="utf-8")


def workflow() -> Any:
    path = ROOT / ".github" / "workflows" / "esp-idf.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]["build"]


def partitions() -> dict[str, tuple[str, int, int]]:
    """Return type, offset and size of each partition."""
    lines = (line for line in text("partitions.csv").splitlines() if not line.startswith("#"))
    rows = (tuple(map(str.strip, row)) for row in csv.reader(lines))
    return {name: (kind, int(at, 0), int(size, 0)) for name, kind, _, at, size in rows}


def test_every_source_is_built() -> None:
    """The app lists each of its own sources, and takes the core's as the other ports do."""
    listed = re.search(r"SRCS ([^)]*?)\s+PRIV", text("main", "CMakeLists.txt"))
    core = text("components", "tlep_core", "CMakeLists.txt")

    assert listed is not None
    assert sorted(listed[1].split()) == sorted(path.name for path in (APP / "main").glob("*.c"))
    assert "file(GLOB SOURCES ${FIRMWARE}/core/*/*.c)" in core
    assert not list((FIRMWARE / "core").glob("*.c"))
    assert not list((FIRMWARE / "core").glob("*/*/*.c"))


def test_core_is_compiled_as_elsewhere() -> None:
    """The flags that decide about bits are those of the other ports; so is the soft float."""
    core = text("components", "tlep_core", "CMakeLists.txt")
    ports = (FIRMWARE / "CMakeLists.txt").read_text() + (
        FIRMWARE / "ports" / "common" / "riscv" / "firmware.cmake"
    ).read_text()

    for flag in (r"-ffp-contract=\w+", "-fno-math-errno", r"-Wl,--wrap=\w+", r"-O\d"):
        assert set(re.findall(flag, core)) == set(re.findall(flag, ports)) != set()


def test_partitions_fit_and_do_not_overlap() -> None:
    """The slot begins and ends where the chip's flash cache has pages."""
    table = partitions()
    end = TABLE_END

    for _kind, offset, size in sorted(table.values(), key=lambda entry: entry[1]):
        assert offset >= end
        assert (offset % PAGE_BYTES, size % PAGE_BYTES) == (0, 0)
        end = offset + size
    assert end <= FLASH_BYTES
    assert table["slot"][0] == "data"
    assert '"slot"' in text("main", "hal.c")
    assert "CONFIG_ESPTOOLPY_FLASHSIZE_4MB=y" in text("sdkconfig.defaults")
    assert f"{table['slot'][1]:#x}" in text("README.md")


def test_one_version_of_esp_idf_is_named() -> None:
    """The container, the document and the least version that the source takes agree."""
    image = workflow()["container"]["image"]
    version = re.fullmatch(r"espressif/idf:v(\d+)\.\d+\.\d+", image)

    assert version is not None
    assert f"ESP-IDF {image.partition(':v')[2]}" in text("README.md")
    assert f"ESP_IDF_VERSION_VAL({version[1]}, 0, 0)" in text("main", "hal.c")


def test_chips_are_the_same_everywhere() -> None:
    """What the workflow builds can be flashed, and settings are for a chip that is built."""
    targets = set(workflow()["strategy"]["matrix"]["target"])
    settings = {path.suffix[1:] for path in APP.glob("sdkconfig.defaults.*")}

    assert {chip.esptool for chip in CHIPS.values() if chip.esp_idf} == targets
    assert all(f"{target}-idf" in CHIPS for target in targets)
    assert settings <= targets
