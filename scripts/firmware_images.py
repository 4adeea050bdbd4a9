"""Makes of each flashed image what else its chip is flashed with, and says what was built.

python scripts/firmware_images.py

Next to firmware/build/IMAGE/tlep-IMAGE.bin and .hex (firmware/CMakeLists.txt) it writes .uf2 for a
chip whose bootloader shows a drive, and .json with version and hashes. A port that was not built is
left out.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from uf2utils.file import UF2File

from edgeprof.workers.flashing.chips import CHIPS, Chip
from edgeprof.workers.flashing.descriptions import Description

BUILD = Path(__file__).parents[1] / "firmware" / "build"


def main() -> None:
    """Write the files of every chip that was built."""
    for chip in CHIPS.values():
        binary = BUILD / chip.image / f"tlep-{chip.image}.bin"
        if not binary.is_file():
            continue
        if chip.uf2_family is not None:
            write_uf2(binary, chip)
        binary.with_suffix(".json").write_text(describe(binary, chip).model_dump_json(indent=2))


def write_uf2(binary: Path, chip: Chip) -> None:
    """Write the image in blocks with addresses, as drives of bootloaders take it."""
    uf2 = UF2File(board_family=chip.uf2_family)
    data = binary.read_bytes()
    # The RP2040's bootrom and Adafruit's bootloader take blocks of 256 bytes only.
    uf2.append_payload(data + bytes(-len(data) % 256), chip.address)
    uf2.to_file(str(binary.with_suffix(".uf2")))


def describe(binary: Path, chip: Chip) -> Description:
    """Return what was built, by the version that is compiled in."""
    header = (binary.parent / "generated" / "version.h").read_text()
    version, git_hash = re.findall(r'"(.*?)"', header)
    files = [binary.with_suffix(suffix) for suffix in (".bin", ".hex", ".uf2")]
    return Description(
        image=chip.image,
        version=version,
        git_hash=git_hash,
        sha256={
            path.suffix: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in files
            if path.is_file()
        },
    )


if __name__ == "__main__":
    main()
