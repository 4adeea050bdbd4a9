"""native://?uid=HEX&ram=BYTES&slot=FILE&… : the firmware as a process of this host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from edgeprof.shared.errors import UsageError
from edgeprof.shared.spelling import suggestion
from edgeprof.workers.emulated.child import (
    ChildSerial,
    firmware_dir,
    firmware_image,
    parse_board_url,
)

#: The native builds of firmware/CMakePresets.json.
BUILDS = ("native", "native-asan")
RAM_MAX_BYTES = 64 * 1024 * 1024


class Serial(ChildSerial):
    """One native board."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 16 bytes",
        "ram": "bytes of RAM for models",
        "slot": "model slot image to map as flash",
        "temperature": "millidegrees Celsius of an emulated sensor",
        "line_rate": "bits per second to pace the link to",
        "fault": "KIND:PARAMETER of the FAULT operation, KIND from 0 to 10",
    }

    values: ClassVar[Mapping[str, str]] = {
        "ram": r"\d+",
        "slot": ".+",
        "temperature": r"-?\d+",
        "line_rate": r"\d+",
        "fault": r"(\d|10):\d+",  # the kinds of firmware/core/platform/fault.h
    }

    stderr = None  # the board's LED blinks there, where the worker's operator looks

    @classmethod
    def check(cls, url: str) -> None:
        """Check the URL as for every child, and the RAM, which is memory of this host."""
        super().check(url)
        ram = parse_board_url(url, cls.options)[1].get("ram", "0")
        if int(ram) > RAM_MAX_BYTES:
            raise UsageError(f"{url}: ram={ram}: at most {RAM_MAX_BYTES}")

    @classmethod
    def check_host(cls, host: str) -> None:
        """Accept a build that is there, and those that a later `make` can build."""
        if host and host not in BUILDS and not (firmware_dir() / host).is_dir():
            raise UsageError(
                f"native://{host}: no such build of the firmware{suggestion(host, BUILDS)}",
                hint="a native board has no host: native://?uid=01",
            )

    def command(self, host: str, query: Mapping[str, str], fd: int) -> Sequence[str]:
        """Return tlep-native with the URL's options as flags; the host part picks the build."""
        build = host or "native"
        command = [str(firmware_image("tlep-native", build)), "--fd", str(fd)]
        for key, value in query.items():
            command += [f"--{key.replace('_', '-')}", value]
        return command
