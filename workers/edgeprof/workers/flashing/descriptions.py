"""What firmware was built, or packed into the wheel, for each chip that can be flashed.

`make firmware` writes a description beside the files of an image (scripts/firmware_images.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ValidationError

from edgeprof.shared.errors import HostFault
from edgeprof.workers.emulated.child import firmware_dir
from edgeprof.workers.flashing.chips import CHIPS


class Description(BaseModel):
    """What is said of one image's files."""

    #: As in `--platform`.
    image: str
    version: str
    git_hash: str
    #: SHA-256 of each file, by its name's end: ".bin".
    sha256: dict[str, str]


def built() -> Iterator[Description]:
    """Yield what there is for the chips that can be flashed. Raises HostFault for a damaged one."""
    for image in CHIPS:
        path = folder(image) / f"tlep-{image}.json"
        try:
            yield Description.model_validate_json(path.read_bytes())
        except OSError:
            continue  # not built here: a toolchain is missing
        except ValidationError as error:
            raise HostFault(
                f"{path} is damaged: {error.errors()[0]['msg']}",
                code="no_firmware",
                hint="in a clone: make firmware; else install the package again",
            ) from None


def built_for(image: str) -> Description | None:
    """Return what there is of one image."""
    return next((each for each in built() if each.image == image), None)


def folder(image: str) -> Path:
    """Return where the files of an image are."""
    return firmware_dir() / image
