"""What the emulators of chips have in common: the options of a board's URL, and what a port needs.

protocol_qemu.py, protocol_labwired.py and protocol_rp2040js.py each have a table of chips and the
command of their emulator.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from edgeprof.shared.errors import HostFault, UsageError
from edgeprof.shared.spelling import suggestion
from edgeprof.workers.emulated.child import ChildSerial, hex_bytes, parse_board_url
from edgeprof.workers.emulated.identity import UID_MAX_BYTES


class EmulatedChip(Protocol):
    """An emulated chip, as far as every emulator has to know it."""

    @property
    def identity_address(self) -> int:
        """Where the firmware reads a magic, the uid and a boot seed at start (ports/*/hal.c)."""
        ...

    @property
    def slot_address(self) -> int | None:
        """The address of the model slot; None when the port has no flash for models."""
        ...

    @property
    def upload_bytes_per_s(self) -> int | None:
        """How fast an upload is. None: so fast that nobody waits for one."""
        ...


class ChipSerial(ChildSerial):
    """A board that is an emulated chip; a subclass names its chips and the emulator."""

    options: ClassVar[Mapping[str, str]] = {
        "uid": "chip id in hex, up to 8 bytes",
        "slot": "model slot image to put into flash",
        "seed": "boot seed, for a boot id that repeats",
    }
    values: ClassVar[Mapping[str, str]] = {"slot": ".+", "seed": r"\d+"}
    uid_max_bytes = UID_MAX_BYTES
    #: By the name of the port, which is the host part of the URL.
    chips: ClassVar[Mapping[str, EmulatedChip]]

    @classmethod
    def check_host(cls, host: str) -> None:
        """Accept a chip that our firmware is built for."""
        if host not in cls.chips:
            scheme = cls.__module__.rpartition("_")[2]
            raise UsageError(
                f"{scheme}://{host}: no such port{suggestion(host, cls.chips)}",
                hint=f"ports: {', '.join(cls.chips)}",
            )

    @classmethod
    def check(cls, url: str) -> None:
        """Check the URL as for every child, and that a slot has flash to go to."""
        super().check(url)
        host, query = parse_board_url(url, cls.options)
        if "slot" in query and cls.chips[host].slot_address is None:
            raise UsageError(f"{url}: {host} has no flash for a model", hint="leave slot out")

    @classmethod
    def upload_bytes_per_s(cls, host: str) -> int | None:
        """Return how fast this chip takes a model in."""
        return cls.chips[host].upload_bytes_per_s if host in cls.chips else None

    def uid(self, query: Mapping[str, str]) -> bytes:
        """Return the chip id of a URL's options."""
        return hex_bytes(query.get("uid", "00"), UID_MAX_BYTES, str(self.portstr))

    def seed(self, query: Mapping[str, str]) -> int:
        """Return the boot seed of a URL's options, 32 bits; drawn anew where none is given."""
        return int(query.get("seed") or secrets.randbits(32)) & 0xFFFFFFFF

    def slot(self, query: Mapping[str, str]) -> Path | None:
        """Return the slot image of a URL's options. Raises HostFault when there is no such file."""
        if "slot" not in query:
            return None
        path = Path(query["slot"])
        if not path.is_file():
            raise HostFault(f"{self.portstr}: no slot image at {path}", code="no_slot")
        return path
