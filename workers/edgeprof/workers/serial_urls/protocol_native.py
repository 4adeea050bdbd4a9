"""native://?uid=HEX&ram=BYTES&slot=FILE&… : the firmware as a process of this host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from edgeprof.workers.serial_urls.child import ChildSerial, firmware_image


class Serial(ChildSerial):
    """One native board."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 16 bytes",
        "ram": "bytes of RAM for models",
        "slot": "model slot image to map as flash",
        "temperature": "millidegrees Celsius of an emulated sensor",
        "line_rate": "bits per second to pace the link to",
        "fault": "KIND:PARAMETER, as the FAULT operation",
    }

    stderr = None  # its LED: where the operator of its worker looks

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """tlep-native with the URL's options as flags; the URL's host part picks the build."""
        build = host or "native"
        command = [str(firmware_image("tlep-native", build)), "--fd", str(fd)]
        for key, value in query.items():
            command += [f"--{key.replace('_', '-')}", value]
        return command
