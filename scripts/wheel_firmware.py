"""A hook of hatch: it packs built firmware into the wheel, for machines without a clone.

Without built firmware the wheel is for any machine, whose user sets EDGEPROF_FIRMWARE_DIR or has
boards with firmware on them. With the native firmware, a program for this machine's processor, the
wheel is for Linux on such a processor.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKED = "edgeprof/workers/firmware"


class WheelFirmware(BuildHookInterface[Any]):
    """Adds firmware/build/PORT/tlep-* to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the files, and the platform's tag where one of them asks for it."""
        if self.target_name != "wheel" or version == "editable":
            return
        for path in sorted(Path(self.root, "firmware", "build").glob("*/tlep-*")):
            port = path.parent.name
            if port == "native-asan":  # for the tests
                continue
            build_data["force_include"][str(path)] = f"{PACKED}/{port}/{path.name}"
            if port == "native":
                build_data["pure_python"] = False
                build_data["tag"] = f"py3-none-linux_{platform.machine()}"
